"""README tells the same story as the code, and its queries run."""

import re
from pathlib import Path

import pytest

from llm_metrics_proxy.addon.starting.settings import OPTIONS
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text()
_COLUMNS = (_ROOT / "docs" / "columns.md").read_text()
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("column", CompletionRequest.__struct_fields__)
def test_every_column_is_explained(column: str) -> None:
    assert re.search(rf"^\|.*`{column}`.*\|", _COLUMNS, re.MULTILINE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_explained(option: str) -> None:
    assert f"| `{option}` |" in _README


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_file_that_is_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("command", main.commands)
def test_every_command_is_explained(command: str) -> None:
    assert f"`llm-metrics {command}" in "".join(page.read_text() for page in _PAGES)
