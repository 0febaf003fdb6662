"""The text that made a table or a trigger, taken apart: SQLite keeps it as typed, and no pragma shows all of it."""

import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<gap>\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))
    |(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    |(?P<word>[^\W\d][\w$]*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_LEADING_GAP: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*", re.DOTALL)
# SQLite keeps the text from the object's name on, as it was typed; before that it writes this.
_CREATE: Final = re.compile(
    r"""(CREATE\s(?:UNIQUE\s)?(?:TABLE|INDEX|TRIGGER|VIEW)\s)
    (?:"(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s(]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_OF_THE_TABLE: Final = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


def definitions(sql: str) -> dict[str, str]:
    """The definitions between the parentheses of a CREATE TABLE, by the lower-case names of their columns.

    A constraint of the table itself is joined to the definitions before it under the name "". A text without
    parentheses (`CREATE TABLE ... AS SELECT` is stored with them) has none.
    """
    found: dict[str, str] = {}
    for text in _split(sql):
        name = _name(text)
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def is_plain(sql: str) -> bool:
    """False for a virtual table's."""
    return _CREATE.match(sql) is not None


def renamed(sql: str, name: str) -> str:
    """The text with another name for the object that it makes, which is a plain one."""
    quoted = name.replace('"', '""')
    return _CREATE.sub(lambda match: f'{match[1]}"{quoted}"', sql, count=1)


def words(sql: str) -> list[str]:
    """The bare words in upper case: no strings, quoted names or comments."""
    return [token.group().upper() for token in _TOKEN.finditer(sql) if token.lastgroup == "word"]


def tokens(sql: str) -> tuple[str, ...]:
    """All but blanks and comments, with the names unquoted: the same for texts that differ in spelling alone.

    SQLite quotes a table's name in the texts of its triggers when that is renamed.
    """
    found = (token for token in _TOKEN.finditer(sql) if token.lastgroup != "gap")
    return tuple(_unquoted(token.group()) if token.lastgroup == "quoted" else token.group() for token in found)


def _unquoted(text: str) -> str:
    return text if text[0] == "'" else text[1:-1].replace(text[-1] * 2, text[-1])


def _split(sql: str) -> Iterator[str]:
    depth, begin = 0, 0
    for token in _TOKEN.finditer(sql):
        text = token.group()
        if token.lastgroup != "other" or text not in "(),":
            continue
        if text == "(":
            depth += 1
            begin = token.end() if depth == 1 else begin
            continue
        if depth == 1:
            yield _LEADING_GAP.sub("", sql[begin : token.start()], count=1).rstrip()
            begin = token.end()
        if text == ")":
            depth -= 1
            if depth == 0:  # table options follow
                return


def _name(definition: str) -> str:
    for token in _TOKEN.finditer(definition):
        text = token.group()
        if token.lastgroup == "gap":
            continue
        if token.lastgroup == "quoted":
            return _unquoted(text).lower()
        return "" if text.upper() in _OF_THE_TABLE else text.lower()
    return ""
