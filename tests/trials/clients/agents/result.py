"""The result of trying one agent, and the table of all of them in docs/clients.md."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from tests.trials.clients import environments
from tests.trials.clients.agents.agent import Agent
from tests.trials.clients.agents.attempt import Attempts, Outcome
from tests.trials.clients.pages import Page, named
from tests.trials.clients.stage import Stage

TOOL, BROKEN_OFF, COMPACTION, DELEGATION = "a tool", "broken off", "compaction", "sub-agent"
NO_WEBSOCKET = "a WebSocket that is refused"
PAGE = Page(
    ("agent", "on", "environment", "the CA, any one of", TOOL, BROKEN_OFF, COMPACTION, DELEGATION, "kinds of its calls")
)
_MOST = 200  # characters of what is wrong


@dataclass
class AgentResult:
    """The result of one agent."""

    agent: Agent
    versions: Mapping[str, str] = field(default_factory=dict)
    not_tried: str = ""  # why
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """One sentence for each thing that is not as the catalogue says, or not as it was sent."""
        if not self.outcomes:
            return [f"not tried: {self.not_tried}"]
        return [f"{run}: {problem}" for run, outcome in self.outcomes.items() for problem in outcome.problems]


def tried(agent: Agent, stage: Stage, *, minimal: bool) -> Iterator[tuple[AgentResult, str]]:
    """Try an agent; yield its result after each run, with the name of that run."""
    result = AgentResult(agent, environments.versions(agent))
    located = partial(environments.run_in, agent)
    rig, values = stage.rig("regular"), stage.values("regular")
    attempts = Attempts(agent, rig, stage.folder, values, result.versions, located)
    first, *others = agent.trusts
    runs: list[tuple[str, Callable[[], Outcome]]] = [
        (TOOL, partial(attempts.tool, first)),
        (BROKEN_OFF, partial(attempts.broken_off, first)),
    ]
    if agent.compaction is not None:
        runs.append((COMPACTION, partial(attempts.compaction, first, agent.compaction)))
    if agent.delegates:
        runs.append((DELEGATION, partial(attempts.delegation, first)))
    if agent.upgrades:
        runs.append((NO_WEBSOCKET, partial(attempts.without_websocket, first)))
    if minimal:
        runs += [(f"{TOOL}, the CA in {name} alone", partial(attempts.tool, name)) for name in others]
    for run, do in runs:
        result.outcomes[run] = do()
        yield result, run


def line(result: AgentResult) -> list[str]:
    """Return an agent's line of the table."""
    agent = result.agent
    names, runtime = named(result.versions, agent.packages)
    about = [", ".join(filter(None, (names, agent.note))), runtime]
    needed = [" ".join(f"`{name}`" for name in agent.needs), ", ".join(f"`{name}`" for name in agent.trusts)]
    if result.wrong:
        what = "; ".join(result.wrong)[:_MOST].replace("|", "/")
        return [*about, *needed, f"**{what}**" if result.outcomes else what, "", "", "", ""]
    cells = [
        str(outcome.calls) if (outcome := result.outcomes.get(run)) else ""
        for run in (TOOL, BROKEN_OFF, COMPACTION, DELEGATION)
    ]
    kinds = {kind for outcome in result.outcomes.values() for kind in outcome.kinds}
    return [*about, *needed, *cells, ", ".join(sorted(kind for kind in kinds if kind))]


def table(results: Iterable[AgentResult]) -> str:
    """Return the table."""
    return PAGE.table(map(line, results))
