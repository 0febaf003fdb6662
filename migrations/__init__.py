"""The ordered registry of schema versions: step N of `STEPS` makes version N of the schema.

Only `recorder.schema` applies it: it adds the lock, the backup, the validation and the stamps that sqlite-utils'
own `migrate` command would by-pass. That command looks for files named exactly `migrations.py`, so there is none here.
Every step must be able to run inside one transaction (no VACUUM, no commit, no `executescript` on the raw connection).
A published step is frozen: it is never edited, and imports nothing whose text may change. Views are none of a step's
business: `views/` holds those of this release, which a start makes when all steps are done.
"""

from typing import Final

from sqlite_utils import Migrations

from llm_metrics_proxy.migrations import (
    m0001_completion_requests,
    m0002_identity_and_detail,
    m0003_rollup,
    m0004_exporters,
    m0005_billed,
    m0006_costs,
    m0007_classes,
    m0008_who_spent_it,
)

APPLICATION_ID: Final = 0x4C4C4D50  # "LLMP": in the file's header, so that no other program's file is taken for ours

STEPS: Final = {
    "m0001_completion_requests": m0001_completion_requests.apply,
    "m0002_identity_and_detail": m0002_identity_and_detail.apply,
    "m0003_rollup": m0003_rollup.apply,
    "m0004_exporters": m0004_exporters.apply,
    "m0005_billed": m0005_billed.apply,
    "m0006_costs": m0006_costs.apply,
    "m0007_classes": m0007_classes.apply,
    "m0008_who_spent_it": m0008_who_spent_it.apply,
}
NAMES: Final = tuple(STEPS)
CURRENT_SCHEMA_VERSION: Final = len(NAMES)

REGISTRY: Final = Migrations("llm_metrics_proxy")
for _name, _step in STEPS.items():
    REGISTRY(name=_name)(_step)
