"""What `llm-top` groups calls by, and which calls it looks at: columns under short names, and labels.

Names are ours or were checked; values are bound, never written into the statement.
"""

import re
from typing import Final, NamedTuple

BY: Final = {  # what lines can be, and the column of each
    "model": "model",
    "origin": "origin",
    "provider": "provider",
    "agent": "agent",
    "session": "session_id",
    "project": "project",
    "kind": "request_kind",
    "key": "key_id",
}
WHERE: Final = BY | {
    name: name
    for name in (
        *("response_model", "agent_id", "session_id", "request_kind", "key_id", "host", "operation", "service_tier"),
        *("region", "billing", "error_class", "error_type", "finish_class"),
    )
}
LABEL: Final = "label:"

_LABEL = re.compile(r"[\w.-]{1,64}", re.ASCII)
_PATTERN = frozenset("*?[")


class Condition(NamedTuple):
    """Calls whose `name` is `value`, a pattern as in file names; unknown if it is empty."""

    name: str
    value: str


def dimension(text: str) -> str:
    """Return what calls are to be grouped by, checked.

    Raises:
        ValueError: it is nothing of the kind; the text says what is.
    """
    return _known(text, BY)


def condition(text: str) -> Condition:
    """Return the condition that NAME=VALUE says.

    Raises:
        ValueError: it says none; the text says why.
    """
    name, equals, value = text.partition("=")
    if not equals:
        message = f"{text!r} is no NAME=VALUE: write it like agent=codex"
        raise ValueError(message)
    return Condition(_known(name, WHERE), value)


def sql_of(name: str) -> tuple[str, tuple[str, ...]]:
    """Return a dimension as SQL, with what is to be bound in it."""
    if name.startswith(LABEL):
        # A label's name has no quote in it, so that it ends where its path does.
        return "CAST(iif(json_valid(labels), json_extract(labels, ?), NULL) AS TEXT)", (
            f'$."{name.removeprefix(LABEL)}"',
        )
    return WHERE[name], ()


def where(conditions: tuple[Condition, ...]) -> tuple[str, tuple[str, ...]]:
    """Return what follows another condition, with what is to be bound in it."""
    sql, bound = "", list[str]()
    for name, value in conditions:
        column, of_column = sql_of(name)
        bound += of_column
        if not value:
            sql += f" AND {column} IS NULL"
            continue
        sql += f" AND {column} {'=' if _PATTERN.isdisjoint(value) else 'GLOB'} ?"
        bound.append(value)
    return sql, tuple(bound)


def _known(name: str, names: dict[str, str]) -> str:
    if name in names or (name.startswith(LABEL) and _LABEL.fullmatch(name.removeprefix(LABEL))):
        return name
    message = f"{name!r} is not one of {', '.join(names)}, {LABEL}NAME"
    raise ValueError(message)
