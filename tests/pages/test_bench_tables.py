"""The tables of what the proxy costs are those that the bench's records print."""

from pathlib import Path

import pytest

from tests.trials.bench import page
from tests.trials.bench.plot import svg
from tests.trials.bench.rounds import Results, Round

SVG = Path(page.__file__).with_name("results.svg")
ANEW = 'make bench ARGS="--pages"'


@pytest.mark.parametrize("path", page.PAGES, ids=lambda path: path.name)
def test_a_page_has_what_its_records_print(path: Path) -> None:
    text = path.read_text()
    assert "<!-- bench " in text
    assert page.filled(text, page.records()) == text, ANEW


def test_the_picture_is_the_records() -> None:
    assert SVG.read_text() == svg(page.records()["results"]), ANEW


def test_a_changed_figure_changes_the_page() -> None:
    text = "before\n<!-- bench r goals -->\nold\n<!-- end of bench -->\nafter\n"
    made = Results(
        {"date": "today"},
        titles={"floor": "Floor", "again": "Again", "ours": "Ours"},
        rounds=[Round({"burst16": {name: {"events_per_s": value} for name, value in figures.items()}})
                for figures in ({"floor": 10.0, "again": 10.0, "ours": 31.0},)],
    )  # fmt: skip
    found = page.filled(text, {"r": made})
    assert found.startswith("before\n<!-- bench r goals -->\n| |")
    assert found.endswith("<!-- end of bench -->\nafter\n")
    assert "| 10.0 | 31.0 | 3.10 [3.10-3.10] | 1.00 | **3.10** | >= 3.00 | met |" in found
    made.rounds[0].figures["burst16"]["ours"]["events_per_s"] = 29.0
    assert "**2.90** | >= 3.00 | NOT MET |" in page.filled(found, {"r": made})
    assert "Not measured yet." in page.filled(text, {})
