"""Published steps are frozen: what made a database once makes the same one for ever."""

import ast
import hashlib
import importlib
from pathlib import Path

import pytest

from llm_metrics_proxy.migrations import NAMES

PUBLISHED = {
    "m0001_completion_requests": "f72c53690c3b015c2c274741aa86ca2bdde4b731f7b9f0691cb0f7f497458b97",
    "m0002_identity_and_detail": "88e9db6ee846c7a70287f12d11e300584a987e46c79181395759fa0736cc3879",
    "m0003_rollup": "0a1a2779e3a822e304671cbfb9208756ab00ffebb5849c575e24cd5b42bc824a",
    "m0004_exporters": "334007ab5505fc30a6df29fd6d0aeac0d4b9570d28708a9ca1f8126bcaf762eb",
    "m0005_billed": "5f3eb67407f17e146b8f4d4d13a51c1452094a05bf94fee7235af09cb3b9d2a8",
    "m0006_costs": "defa7b4f6f193e1b42103a4c4e8930642a2f7ab43583ece9c3deac6f9c992b14",
    "m0007_classes": "37fed148098915d83c60168de218547dd09bb5d49eb6bd12a9973c8e1ea625de",
    "m0008_who_spent_it": "7cd6c946bb96d5910802b1c8d28c913748fb72ce1a3ddb9bc57447daa212b0cb",
}
WHAT_TO_DO = """
The text of the step {name} is not the one that is recorded. If a release has this step, undo the change and write a new
step instead: databases that it made are refused otherwise. If no release has it yet, record {found} in PUBLISHED.
"""


def source(name: str) -> Path:
    return Path(str(importlib.import_module(f"llm_metrics_proxy.migrations.{name}").__file__))


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_published_step_is_never_edited(name: str) -> None:
    found = hashlib.sha256(source(name).read_bytes()).hexdigest()
    assert PUBLISHED.get(name) == found, WHAT_TO_DO.format(name=name, found=found)


def test_a_published_step_is_never_taken_away_or_moved() -> None:
    assert list(PUBLISHED) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reads_nothing_that_can_change_but_sqlite_utils(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(source(name).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Name):
            assert node.id not in {"open", "__import__", "Path", "files"}
    assert imported == {"sqlite_utils.Database"}
