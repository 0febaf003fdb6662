"""`llm-metrics whatif`: what calls would have cost otherwise, worked out by hand for each way of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.commands.whatif import whatif
from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.price_file import DEFAULT_NAME, OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from tests.support.database import ask
from tests.unit.prices.priced import usd
from tests.unit.prices.recosted import COST, Fill

SONNET = {
    "timestamp": "2026-11-20T12:00:00.000Z",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "response_model": "claude-sonnet-4-5-20250929",
    "usage": None,
    "prompt_tokens": 10_000,
    "completion_tokens": 1_000,
    "billed": '{"input_tokens":10000,"cache_read_tokens":6000,"cache_write_tokens":2000,"output_tokens":1000}',
}
SONNET_COST = usd((2_000, 3), (6_000, "0.3"), (2_000, "3.75"), (1_000, 15))
AS_MINI = usd((4_000, "0.25"), (6_000, "0.025"), (1_000, 2))  # OpenAI charges nothing more for cache writes
UNUSED = {"usage": None, "prompt_tokens": None, "completion_tokens": None}


def command(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(whatif, ["--db", str(path), *arguments])


def asked(path: Path, *arguments: str) -> dict[str, Any]:
    done = command(path, "--json", *arguments)
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def priced(fill: Fill, *calls: dict[str, Any]) -> Path:
    path = fill(*calls)
    recost(path, OwnPrices(), Span())
    return path


def test_calls_of_a_model_are_priced_as_those_of_another_and_others_are_left_alone(fill: Fill) -> None:
    path = priced(fill, SONNET, SONNET, {})
    found = asked(path, "--model", "claude-*=gpt-5-mini")
    (line,) = found["lines"]
    assert (line["model"], line["as_model"], line["prices_of"]) == ("claude-sonnet-4-5", "gpt-5-mini", "openai")
    assert (line["calls"], line["input_tokens"], line["output_tokens"]) == (2, 20_000, 2_000)
    assert line["usd_was"] == pytest.approx(2 * SONNET_COST)
    assert line["usd_would"] == pytest.approx(2 * AS_MINI)
    assert line["difference_usd"] == pytest.approx(2 * (AS_MINI - SONNET_COST))
    assert found["calls"] == 2


def test_the_name_that_answered_counts_too_and_the_last_pattern_that_fits(fill: Fill) -> None:
    path = priced(fill, SONNET, {})
    found = asked(path, "--model", "*=gpt-4o", "--model", "*-20250929=gpt-5-mini")
    assert {line["model"]: line["as_model"] for line in found["lines"]} == {
        "claude-sonnet-4-5": "gpt-5-mini",
        "gpt-4o": "gpt-4o",
    }


def test_the_example_of_the_page_is_this_call(fill: Fill) -> None:
    page = (Path(__file__).parents[3] / "docs" / "costs.md").read_text()
    example = page.partition("## What if")[2].partition("\n## ")[0]
    assert f"`{SONNET['billed']}`" in example
    path = priced(fill, SONNET)
    found = {
        options: asked(path, *options.replace("'", "").split())["lines"][0]["usd_would"]
        for options in ("--model 'claude-*=gpt-5-mini'", "--cache 0")
    }
    found["as it was"] = asked(path, "--cache", "0")["lines"][0]["usd_was"]
    told = re.findall(r"^\| `?([^|`]+?)`? \| [^|]* \| ([\d.]+) \|$", example, re.MULTILINE)
    assert {what: float(cost) for what, cost in told} == pytest.approx(found)
    saved, spent = (float(one) for one in re.findall(r" = \$([\d.]+)\)", example))
    (line,) = asked(path, "--cache", "0")["lines"]
    assert (line["saved_by_reads_usd"], line["spent_on_writes_usd"]) == (pytest.approx(saved), pytest.approx(spent))


def test_on_another_tier_each_call_has_the_prices_of_that(fill: Fill) -> None:
    model = {"model": "gpt-5.5", "response_model": None, "timestamp": "2026-11-20T12:00:00.000Z"}
    (line,) = asked(priced(fill, model), "--tier", "flex")["lines"]
    assert line["usd_was"] == pytest.approx(usd((1_000, 5), (100, 30)))
    assert line["usd_would"] == pytest.approx(usd((1_000, "2.5"), (100, 15)))


def test_a_tier_is_kept_unless_another_one_is_asked_for(fill: Fill) -> None:
    model = {"model": "gpt-5.5", "response_model": None, "timestamp": "2026-11-20T12:00:00.000Z"}
    path = priced(fill, model | {"service_tier": "flex"})
    (as_before,) = asked(path, "--model", "gpt-5.5=gpt-5.5")["lines"]
    assert as_before["difference_usd"] == 0
    (ordinary,) = asked(path, "--tier", "standard")["lines"]
    assert ordinary["usd_would"] == pytest.approx(usd((1_000, 5), (100, 30)))


def test_without_a_cache_reads_and_writes_are_plain_input(fill: Fill) -> None:
    (line,) = asked(priced(fill, SONNET), "--cache", "0")["lines"]
    assert line["usd_would"] == pytest.approx(usd((10_000, 3), (1_000, 15)))
    assert line["saved_by_reads_usd"] == pytest.approx(usd((6_000, "2.7")))
    assert line["spent_on_writes_usd"] == pytest.approx(usd((2_000, "0.75")))
    assert line["difference_usd"] == pytest.approx(line["saved_by_reads_usd"] - line["spent_on_writes_usd"])


def test_a_call_has_the_price_of_its_moment_unless_a_day_is_given(fill: Fill) -> None:
    own = '[[price]]\nmodel = "gpt-4o"\nfrom = 2026-05-01\ninput = 1\noutput = 1\n'
    path = priced(fill, {"timestamp": "2026-03-01T12:00:00.000Z"})
    (path.parent / DEFAULT_NAME).write_text(own)
    (line,) = asked(path, "--model", "*=gpt-4o")["lines"]
    assert line["usd_would"] == pytest.approx(COST)
    (line,) = asked(path, "--at", "2026-05-01")["lines"]
    assert (line["usd_was"], line["usd_would"]) == (pytest.approx(COST), pytest.approx(usd((1_100, 1))))
    assert line["prices_of"] == "file"


def test_a_model_is_in_the_list_of_the_calls_own_provider_first_and_a_list_can_be_named(fill: Fill) -> None:
    through = {"provider": "openrouter", "model": "anthropic/claude-sonnet-4.5", "response_model": None}
    path = priced(fill, through)
    assert asked(path, "--model", "*=openai/gpt-4o")["lines"][0]["prices_of"] == "openrouter"
    assert asked(path, "--model", "*=gpt-4o")["lines"][0]["prices_of"] == "openai"
    assert asked(path, "--model", "*=azure:gpt-4o")["lines"][0]["prices_of"] == "azure"


def test_a_model_that_only_the_own_prices_know_may_answer(fill: Fill) -> None:
    path = priced(fill, SONNET)
    (path.parent / DEFAULT_NAME).write_text('[[price]]\nmodel = "my-llama"\ninput = 1\noutput = 2\n')
    (line,) = asked(path, "--model", "*=my-llama")["lines"]
    assert (line["prices_of"], line["usd_would"]) == ("file", pytest.approx(usd((10_000, 1), (1_000, 2))))


def test_the_surcharge_of_a_region_ends_with_its_provider(fill: Fill) -> None:
    path = priced(fill, SONNET | {"region": "us", "billed": '{"input_tokens":1000,"output_tokens":100}'})
    (elsewhere,) = asked(path, "--model", "*=gpt-5.5")["lines"]  # of which OpenAI's regions cost more, too
    assert elsewhere["usd_would"] == pytest.approx(usd((1_000, 5), (100, 30)))
    (same,) = asked(path, "--model", "*=claude-sonnet-4-5")["lines"]
    assert same["usd_would"] == pytest.approx(1.1 * usd((1_000, 3), (100, 15)))


def test_sums_say_of_how_many_calls_a_cost_is_unknown_or_a_lower_bound(fill: Fill) -> None:
    cut = {"usage": None, "prompt_tokens": 1_000, "completion_tokens": None, "usage_source": "partial"}
    nobody = {"model": "made-up", "response_model": None}
    path = priced(fill, {}, cut, nobody, nobody)
    found = asked(path, "--model", "*=gpt-4o")
    by_model = {line["model"]: line for line in found["lines"]}
    assert by_model["made-up"]["was_unknown"] == 2
    assert by_model["made-up"]["usd_was"] is None
    assert by_model["made-up"]["usd_would"] == pytest.approx(2 * COST)
    assert by_model["made-up"]["difference_usd"] is None
    assert (by_model["gpt-4o"]["was_lower_bounds"], by_model["gpt-4o"]["would_lower_bounds"]) == (1, 1)
    (total,) = found["totals"]
    assert (total["calls"], total["was_unknown"], total["compared"]) == (4, 2, 2)
    text = command(path, "--model", "*=gpt-4o").stdout
    assert re.search(r"^total +4 .* 0\.006000\+ +2 +0\.013000\+ +0 +0\.000000~$", text, re.MULTILINE)
    assert "The difference is of the calls whose costs are both known." in text


def test_calls_of_which_nothing_says_what_they_used_are_left_out_and_counted(fill: Fill) -> None:
    refused = UNUSED | {"success": False, "status_code": 429, "error_type": "rate_limit"}
    path = priced(fill, {}, UNUSED, refused)
    found = asked(path, "--model", "gpt-*=gpt-5-mini")
    assert (found["calls"], found["left_out"], found["not_billed"]) == (3, {"no_usage": 1}, 1)
    assert found["totals"][0]["calls"] == 1
    text = command(path, "--model", "gpt-*=gpt-5-mini").stdout
    assert "Left out: 1 call: nothing said what was used." in text
    assert text.count("another model cuts text into other tokens") == 1


def test_what_nobody_pays_for_is_in_no_sum_of_what_is_billed(fill: Fill) -> None:
    found = asked(priced(fill, SONNET, SONNET | {"billing": "subscription"}), "--model", "*=gpt-5-mini")
    assert [(one["plan"], one["calls"]) for one in found["lines"]] == [(False, 1), (True, 1)]
    assert [(one["plan"], one["usd_was"]) for one in found["totals"]] == [
        (False, pytest.approx(SONNET_COST)),
        (True, pytest.approx(SONNET_COST)),
    ]


def test_a_fee_that_the_other_list_has_not_makes_the_cost_unknown_and_says_so(fill: Fill) -> None:
    searched = SONNET | {"billed": '{"input_tokens":1000,"output_tokens":100,"web_searches":2}'}
    path = priced(fill, SONNET, searched)
    (line,) = asked(path, "--model", "*=groq:llama-3.3-70b-versatile")["lines"]
    assert (line["calls"], line["was_unknown"], line["would_unknown"], line["compared"]) == (2, 0, 1, 1)
    assert line["difference_usd"] == pytest.approx(line["usd_would"] - SONNET_COST)


def test_what_a_provider_stated_is_what_it_was_and_the_list_says_what_would_be(fill: Fill) -> None:
    path = fill({"cost_usd": 0.5, "cost_source": "provider", "cost_complete": 1})
    (line,) = asked(path, "--model", "*=gpt-4o")["lines"]
    assert (line["usd_was"], line["usd_would"]) == (0.5, pytest.approx(COST))


def test_only_calls_of_the_time_count_and_nothing_is_written(fill: Fill) -> None:
    path = priced(fill, SONNET, SONNET | {"timestamp": "2026-11-21T00:00:00.000Z"})
    before = ask(path, "SELECT * FROM completion_requests")
    assert asked(path, "--cache", "0", "--until", "2026-11-21")["calls"] == 1
    assert asked(path, "--cache", "0", "--since", "2026-11-21")["calls"] == 1
    assert ask(path, "SELECT * FROM completion_requests") == before


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "Say what would be otherwise: --model"),
        (["--model", "gpt-5-mini"], 2, "'gpt-5-mini' is no PATTERN=MODEL: write it like"),
        (["--model", "=gpt-5-mini"], 2, "is no PATTERN=MODEL"),
        (["--model", "x\x1b[2J"], 2, "is no PATTERN=MODEL"),
        (["--cache", "50"], 2, "Invalid value for '--cache'"),
        (["--model", "claude-*=made-up"], 1, "No price is known of 'made-up': look for its name"),
        (["--model", "claude-*=openai:made-up"], 1, "The list of prices has no model 'made-up' of openai: leave"),
        (["--model", "claude-*=claude-haiku-4-5", "--tier", "flex"], 1, "The tier 'flex' of 'claude-haiku-4-5' has no"),
        (["--tier", "made-up"], 1, "None of these calls has a price then (1 call: the service tier has no known"),
        (["--model", "gemini*=gpt-5-mini"], 1, "No call of a model like gemini* was recorded in that time: give"),
        (["--cache", "0", "--since", "2027-01-01"], 1, "No call was recorded in that time: give another"),
    ],
)
def test_what_has_no_answer_is_one_sentence(arguments: list[str], code: int, sentence: str, fill: Fill) -> None:
    done = command(priced(fill, SONNET), *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "\x1b" not in done.stderr


def test_a_pattern_that_fits_no_call_is_named_beside_those_that_do(fill: Fill) -> None:
    text = command(priced(fill, SONNET), "--model", "claude-*=gpt-5-mini", "--model", "gemini-*=gpt-5-mini").stdout
    assert "No call has a model like 'gemini-*'." in text
