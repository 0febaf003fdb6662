"""README tells the same story as the code, and its queries run."""

import re
from pathlib import Path

import pytest

from addon.settings import OPTIONS
from recorder.events import CompletionRequest

_README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.parametrize("column", CompletionRequest.__struct_fields__)
def test_every_column_is_explained(column: str) -> None:
    assert re.search(rf"^\|.*`{column}`.*\|", _README, re.MULTILINE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_explained(option: str) -> None:
    assert f"| `{option}` |" in _README
