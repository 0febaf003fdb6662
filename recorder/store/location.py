"""Where the database is: the option, else the environment, else `metrics.db` here.

Imports nothing that takes time, since a prompt asks it before each line (recorder/statusline).
"""

import os

ENVIRONMENT = "LLM_METRICS_DB"
DEFAULT_NAME = "metrics.db"


def is_testing() -> bool:
    """True if default locations are out of bounds (`TESTING=true`)."""
    return os.environ.get("TESTING", "").strip().lower() == "true"


def chosen(option: str | None = None) -> str:
    """The database's absolute path.

    Raises:
        DatabaseRefused: the default under `TESTING=true`, an unknown `~name`, or a current folder that is gone.
    """
    path = option or os.environ.get(ENVIRONMENT)
    if not path:
        if is_testing():
            _refuse("TESTING is set, which forbids the default database", "set metrics_db or LLM_METRICS_DB to a path")
        path = DEFAULT_NAME
    expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib takes 8 ms to import
    if path.startswith("~") and expanded == path:
        _refuse(f"The home folder in {path!r} is unknown", "set metrics_db to an absolute path")
    if os.path.isabs(expanded):  # noqa: PTH117 - as above
        return expanded
    try:
        return os.path.join(os.getcwd(), expanded)  # noqa: PTH109, PTH118 - as above
    except FileNotFoundError:
        _refuse("The current folder is gone", "change to one that is there")
        raise


def _refuse(what: str, cure: str) -> None:
    from llm_metrics_proxy.recorder.errors import DatabaseRefused  # noqa: PLC0415 - 3 ms, for a failure alone

    raise DatabaseRefused(what=what, cure=cure)
