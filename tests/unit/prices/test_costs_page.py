"""The examples of docs/costs.md are what calls cost, and its words are those of the column."""

import re
from pathlib import Path

import pytest

from llm_metrics_proxy.recorder.prices import notes
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import cost_of
from tests.unit.prices.priced import call

PAGE = (Path(__file__).parents[3] / "docs" / "costs.md").read_text()
EXAMPLES = re.findall(
    r"^\| `([\w.]+)` \| `([\w.:-]+)` \|([^|]*)\| `(\{.*?\})` \| [^|]* \| ([\w.]+) \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize(("provider", "model", "terms", "billed", "cost"), EXAMPLES)
def test_an_example_costs_what_the_page_says(provider: str, model: str, terms: str, billed: str, cost: str) -> None:
    of_terms = dict(term.split("=") for term in terms.strip(" `").split(", ") if term)
    row = call(timestamp="2026-11-20T12:00:00.000Z", provider=provider, model=model, billed=billed, **of_terms)
    found = cost_of(row, OwnPrices())
    assert found.usd == (None if cost == "NULL" else pytest.approx(float(cost), rel=1e-9))
    assert found.complete == {"NULL": None, "0.0025": 0}.get(cost, 1)


def test_there_is_an_example_of_each_kind() -> None:
    assert len(EXAMPLES) == PAGE.count("| `{")
    assert len(EXAMPLES) > 10


def test_the_page_has_each_word_of_the_notes() -> None:
    assert re.findall(r"^\| `(\w+)` \| ", PAGE.partition("| `cost_note` |")[2].partition("\n\n")[0], re.MULTILINE) == [
        *notes.WORDS
    ]
    assert set(notes.MEANINGS) == set(notes.WORDS)
