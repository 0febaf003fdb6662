"""Version 6: the terms of each call's price, and of each cost if it is whole or what it lacks.

`rollup_costs` adds costs up by who pays and by what is lacking: of a group with a note, costs are lower bounds, and
calls without one are unknown. It begins with the costs that the roll-up has, whose rows may be pruned: of them nobody
has said more. Published: never edited.
"""

from sqlite_utils import Database

STATEMENTS = (
    "ALTER TABLE completion_requests ADD COLUMN service_tier TEXT",
    "ALTER TABLE completion_requests ADD COLUMN region TEXT",
    "ALTER TABLE completion_requests ADD COLUMN billing TEXT",
    "ALTER TABLE completion_requests ADD COLUMN cost_complete INTEGER",
    "ALTER TABLE completion_requests ADD COLUMN cost_note TEXT",
    """
    CREATE TABLE rollup_costs (
        span TEXT NOT NULL,
        period TEXT NOT NULL,
        model TEXT NOT NULL,
        origin TEXT NOT NULL,
        provider TEXT NOT NULL,
        billing TEXT NOT NULL,
        cost_note TEXT NOT NULL,
        calls INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        cost_usd_known INTEGER NOT NULL,
        PRIMARY KEY (span, period, model, origin, provider, billing, cost_note)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO rollup_costs
    SELECT span, period, model, origin, provider, '', '', sum(calls), total(cost_usd), sum(cost_usd_known)
    FROM rollup_calls GROUP BY span, period, model, origin, provider
    """,
)


def apply(db: Database) -> None:
    """Add the columns and the table."""
    for statement in STATEMENTS:
        db.execute(statement)
