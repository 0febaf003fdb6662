"""README and docs/ tell the same story as the code: what they name exists, and what people need is named."""

import importlib.util
import re
import shlex
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlite_utils.cli import cli as sqlite_utils

from llm_metrics_proxy.addon.starting.settings import OPTIONS
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest
from tests.support import cookbook

ROOT = cookbook.ROOT
PAGES = cookbook.PAGES
TOP = ("addon", "recorder", "migrations", "src", "tests", "demo", "docs", "deploy")
PROGRAMS: dict[str, click.Command] = {"llm-metrics": main, "sqlite-utils": sqlite_utils}


def names(group: click.Group) -> list[str]:
    """The commands of a group, some of which are loaded when they are asked for."""
    return group.list_commands(click.Context(group))


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> Iterator[str]:
    """Every line of a block, and every piece of code in a line."""
    text = page.read_text()
    for block in re.findall(r"^ *```\w*\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for piece in re.findall(r"``? ?(.+?) ?``?(?!`)", outside.replace("\n", " ")):
        yield piece.replace("\\|", "|")


def commands(page: Path) -> Iterator[tuple[str, ...]]:
    """The words of every command of ours, without what the shell does with it."""
    for line in code(page):
        for found in re.findall(r"(?:llm-metrics [a-z-]|sqlite-utils llm-)[^#|>;&)`]*", line):
            try:
                words = shlex.split(found)
            except ValueError:  # the rest of a quotation
                words = found.split()
            yield tuple(words[: words.index("--")] if "--" in words else words)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        kept = (one for one in heading.lower() if one in "-_ " or unicodedata.category(one)[0] in "LN")
        found.add("".join(kept).replace(" ", "-"))
    return found


def test_a_newcomer_reads_readme_to_the_end() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("column", CompletionRequest.__struct_fields__)
def test_every_column_is_explained(column: str) -> None:
    assert re.search(rf"^\|.*`{column}`.*\|", (ROOT / "docs" / "columns.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_explained(option: str) -> None:
    assert f"| `{option}` |" in (ROOT / "docs" / "options.md").read_text()


@pytest.mark.parametrize("command", names(main))
def test_every_command_is_explained(command: str) -> None:
    assert f"| `llm-metrics {command}" in (ROOT / "docs" / "operations.md").read_text()


@each_page
def test_a_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@each_page
def test_a_page_names_only_commands_and_options_that_exist(page: Path) -> None:
    unknown = []
    for words in commands(page):
        command, options = PROGRAMS[words[0]], {"--help"}
        for word in words[1:]:
            options |= {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.startswith("--"):
                known = word.partition("=")[0] in options
            elif isinstance(command, click.Group):
                known = word in names(command)
                command = command.get_command(click.Context(command), word) or command
            else:
                known = True  # an argument or a value
            if not known:
                unknown.append(" ".join(words))
    assert unknown == []


@each_page
def test_a_page_names_only_options_of_the_proxy_that_exist(page: Path) -> None:
    assert set(re.findall(r"\bmetrics_[a-z_]+\b", page.read_text())) <= OPTIONS.keys()


@each_page
def test_a_page_names_only_targets_of_make_that_exist(page: Path) -> None:
    targets = re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {found[1] for line in code(page) if (found := re.match(r"make ([a-z]+)\b", line))}
    assert named <= set(targets)


@each_page
def test_a_page_names_only_files_and_modules_that_exist(page: Path) -> None:
    top = rf"(?:{'|'.join(TOP)}|\.ci|\.github)"
    paths = {found[0] for line in code(page) for found in re.finditer(rf"(?<![\w./-]){top}/[\w./-]*", line)}
    placeholders = {one for one in paths if re.search(rf"{re.escape(one)}[<{{*]", page.read_text())}
    assert [one for one in paths - placeholders if not (ROOT / one).exists()] == []
    modules = {
        found[1] for line in code(page) for found in re.finditer(r"python -m ((?:tests|deploy|demo)[\w.]*)", line)
    }
    assert [one for one in modules if importlib.util.find_spec(one) is None] == []


def test_the_folders_of_the_architecture_are_those_of_the_repository() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text[text.index("| folder | holds |") : text.index("## Who may import whom")]
    described = re.findall(r"^\| `([^`]+)/` \| .+ \|$", table, re.MULTILINE)
    files = [path.relative_to(ROOT) for top in TOP for path in (ROOT / top).rglob("*") if path.is_file()]
    folders = {Path(*file.parts[:-1][:2]).as_posix() for file in files if "__pycache__" not in file.parts}
    assert sorted(described) == sorted(folders - {"deploy", "tests"})  # the folders in them are described


def test_the_layers_of_the_architecture_are_those_of_the_import_contract() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    shown = re.search(r"^```layers\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    assert shown is not None
    assert shown[1].splitlines() == layers
