"""Reading `promises.toml`: each promise with the words of the pages that make it, and its proofs.

A proof is a check of a trial ("torture T2: kill -9 of a migration") or a test
("tests/end_to_end/test_durable.py::test_name"); `*` stands for any characters.
"""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from tests.trials.bench.goals import GOALS
from tests.trials.record import ROOT
from tests.trials.torture.catalogue import CASES

_FILE = Path(__file__).with_name("promises.toml")
_FEWEST_LETTERS = 10  # of a text in a trial's code that can be the name of a check

type Head = Literal["Invisible", "Right", "Safe", "Fast"]
HEADS: tuple[Head, ...] = ("Invisible", "Right", "Safe", "Fast")


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """One change of the code that breaks a promise, in a few words `by`: `old` becomes `new` in `file`.

    `seen` is what then fails: tests as pytest takes them, or a trial with its arguments ("torture T3 --rounds 3").
    """

    by: str
    file: str
    old: str
    new: str
    seen: str


class Promise(msgspec.Struct, forbid_unknown_fields=True):
    """One promise. `said` has the words of each page that make it; `unproven` says why there is no proof."""

    name: str
    head: Head
    says: str
    said: dict[str, list[str]] = {}
    proofs: list[str] = []
    unproven: str = ""
    broken: Change | None = None


class Catalogue(msgspec.Struct, forbid_unknown_fields=True):
    """All promises. Every sentence below the headings `sections`, by page, must be a promise's or `explained`."""

    sections: dict[str, list[str]]
    explained: dict[str, list[str]]
    promise: list[Promise]


def catalogue() -> Catalogue:
    """Read the file."""
    return msgspec.toml.decode(_FILE.read_bytes(), type=Catalogue)


def as_one_line(text: str) -> str:
    """Return a text as if it had no line ends."""
    return " ".join(text.split())


def sentences(text: str, headings: list[str]) -> Iterator[str]:
    """Yield the sentences, and rows of tables, that stand directly below some headings of a page."""
    outside = re.sub(r"^```.*?^```$|^<!-- .*? -->$", "", text, flags=re.MULTILINE | re.DOTALL)
    heading = ""
    for block in re.split(r"\n\s*\n|\n(?=\s*- )|\n(?=\|)|(?<=\|)\n", outside):
        if found := re.match(r"#+ (.+)", block.strip()):
            heading = found[1]
        elif heading in headings and not re.match(r"\s*(\|[ |-]*$|!\[)", block):
            yield from re.split(r"(?<=[.!?])\s+(?=[A-Z`*\[])", as_one_line(block).removeprefix("- "))


def known_proofs(trial: str) -> list[str]:
    """Return the names, or patterns of names, of what a trial checks ("torture"), or of all tests ("tests")."""
    match trial:
        case "tests":
            return _tests()
        case "torture":
            return [f"{case.label}: {case.what}" for case in CASES]
        case "bench":
            return [goal.measure for goal in GOALS]
        case "fuzz":
            return [name for name in _functions(ROOT / "tests" / "trials" / "fuzz" / "targets.py") if name[0] != "_"]
    places = (ROOT / "tests" / "trials" / trial, ROOT / "tests" / "support" / "traffic")
    return [text for place in places for path in sorted(place.rglob("*.py")) for text in _texts(path)]


def split(proof: str) -> tuple[str, str]:
    """Return the trial and the check of a proof; tests are the checks of "tests"."""
    if proof.startswith("tests/"):
        return "tests", proof
    trial, _, check = proof.partition(" ")
    return trial, check


def exists(proof: str) -> bool:
    """Return if the code of the trials and tests has what a proof names."""
    trial, check = split(proof)
    return any(fnmatchcase(known, check) or fnmatchcase(check, known) for known in known_proofs(trial))


def proving_tests(proofs: list[str]) -> list[str]:
    """Return the tests among some proofs, by their full names."""
    wanted = [check for trial, check in map(split, proofs) if trial == "tests"]
    return [test for test in known_proofs("tests") if any(fnmatchcase(test, one) for one in wanted)]


@cache
def _tests() -> list[str]:
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [f"{path.relative_to(ROOT)}::{name}" for path in paths for name in _functions(path) if name[:5] == "test_"]


def _functions(path: Path) -> list[str]:
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]


@cache
def _texts(path: Path) -> list[str]:
    """Return the texts of a file; `*` stands for what is put into one."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return [text for text in found if len(text.replace("*", "")) >= _FEWEST_LETTERS]
