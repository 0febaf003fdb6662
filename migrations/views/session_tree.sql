-- windows: last_24h, last_7d
-- For each conversation a row (depth 0), and below it one for each agent that it started, a > for each step down.
-- Figures are of an agent's own calls; those called conversation_ are of the whole tree, and stand in each of its rows.
-- What started an agent is the agent or the session that it names, else what its session began with.
WITH RECURSIVE agents AS MATERIALIZED (
    SELECT min(id) AS first_id, session_id, agent_id, max(parent_agent_id) AS parent_agent_id, max(agent) AS agent,
        max(project) AS project, max(origin) AS origin, max(request_kind) AS request_kind, count(*) AS requests,
        sum(NOT success) AS errors, min(timestamp) AS first_at, max(timestamp) AS last_at,
        group_concat(DISTINCT model) AS models, sum(prompt_tokens) AS prompt_tokens,
        sum(cached_tokens) AS cached_tokens, sum(completion_tokens) AS completion_tokens,
        sum(cost_usd) FILTER (WHERE billing IS NOT 'subscription') AS cost_usd,
        sum(cost_usd) FILTER (WHERE billing = 'subscription') AS plan_cost_usd, count(cost_note) AS cost_incomplete
    FROM completion_requests
    WHERE timestamp >= {window} AND +session_id IS NOT NULL
    GROUP BY +session_id, agent_id
), sessions AS MATERIALIZED (
    SELECT session_id AS id, min(first_id) AS first_id FROM agents GROUP BY session_id
), links AS MATERIALIZED (
    -- Only what came before can have started an agent: so nothing is above itself, whatever clients say.
    SELECT agents.first_id, coalesce(max(starter.first_id), max(other.first_id), nullif(own.first_id, agents.first_id))
        AS parent_id
    FROM agents
    JOIN sessions AS own ON own.id = agents.session_id
    LEFT JOIN agents AS starter ON starter.session_id = agents.session_id
        AND starter.agent_id = agents.parent_agent_id AND starter.first_id < agents.first_id
    LEFT JOIN sessions AS other ON other.id = agents.parent_agent_id AND other.first_id < agents.first_id
    GROUP BY agents.first_id
), tree AS MATERIALIZED (
    SELECT first_id, first_id AS root_id, 0 AS depth, printf('%015d', first_id) AS place
    FROM links WHERE parent_id IS NULL
    UNION ALL
    SELECT links.first_id, root_id, depth + 1, substr(place, 1, 150) || printf('/%015d', links.first_id)
    FROM tree JOIN links ON links.parent_id = tree.first_id
)
SELECT depth, substr('> > > > > > > > ', 1, 2 * depth) || iif(depth, coalesce(agent_id, session_id), coalesce(agent, origin))
        AS name, agent, project, request_kind, session_id, agent_id, requests, errors, first_at, last_at, models, prompt_tokens,
    cached_tokens, completion_tokens, round(cost_usd, 6) AS cost_usd, round(plan_cost_usd, 6) AS plan_cost_usd,
    cost_incomplete, count(*) OVER conversation AS conversation_agents,
    sum(requests) OVER conversation AS conversation_requests,
    round(sum(cost_usd) OVER conversation, 6) AS conversation_cost_usd,
    round(sum(plan_cost_usd) OVER conversation, 6) AS conversation_plan_cost_usd,
    sum(cost_incomplete) OVER conversation AS conversation_cost_incomplete
FROM tree JOIN agents ON agents.first_id = tree.first_id
WINDOW conversation AS (PARTITION BY root_id)
ORDER BY max(last_at) OVER conversation DESC, root_id, place
