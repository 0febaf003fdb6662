"""`llm-metrics reconcile`: exports in the providers' documented shapes, rows of the same times, and what differs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from anthropic.types.beta.organization.analytics.beta_analytics_cost_item import BetaAnalyticsCostItem
from anthropic.types.beta.organization.analytics.beta_analytics_usage_item import BetaAnalyticsUsageItem
from click.testing import CliRunner, Result
from openai.types.admin.organization.usage_costs_response import UsageCostsResponse

from llm_metrics_proxy.recorder import schema
from llm_metrics_proxy.recorder.commands.cli import main
from llm_metrics_proxy.recorder.events import CompletionRequest, new_event_id
from tests.support.recent_calls import write as write_rows
from tests.unit.accounts.exported import (
    anthropic,
    cents,
    completions,
    costs,
    messages,
    names,
    openai,
    openrouter,
    write,
)

FRIDAY, SATURDAY = "2026-11-20", "2026-11-21"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return schema.prepare(tmp_path / "metrics.db", backup_dir=None, lock_seconds=5)


def row(at: str = f"{FRIDAY}T12:00:00.000Z", **fields: Any) -> CompletionRequest:  # noqa: ANN401 - fields of any type
    defaults: dict[str, Any] = {
        "timestamp": at,
        "success": True,
        "status_code": 200,
        "response_time_ms": 2_000,
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "provider": "openai",
        "operation": "chat",
        "is_streaming": True,
        "event_id": new_event_id(1_795_165_200_000),
        "prompt_tokens": 1_000,
        "completion_tokens": 100,
        "cost_usd": 0.25,
        "cost_complete": 1,
    }
    return CompletionRequest(**defaults | fields)


def command(path: Path, *words: object) -> Result:
    return CliRunner().invoke(main, ["reconcile", "--db", str(path), *map(str, words)])


def reconciled(path: Path, *words: object) -> dict[str, Any]:
    done = command(path, "--json", *words)
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def refused(path: Path, *words: object) -> str:
    done = command(path, *words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_openais_usage_and_costs_are_compared_by_day_and_model(path: Path, tmp_path: Path) -> None:
    usage = openai(FRIDAY, completions(4, (4_000, 500), model="gpt-4o-2024-08-06"))
    spent = openai(FRIDAY, costs(0.75), costs(0.25, line_item="gpt-4o-2024-08-06, input"))
    for page in (usage, spent):
        UsageCostsResponse.model_validate(page)  # the shape is the SDK's
    write_rows(path, [row(), row(), row(), row(f"{SATURDAY}T00:00:00.000Z")])
    files = write(tmp_path / "usage.json", usage), write(tmp_path / "costs.json", spent)
    found = reconciled(path, *files)
    day = names(found["days"])[FRIDAY]
    assert (day["export_calls"], day["file_calls"]) == (4, 3)
    assert (day["export_input_tokens"], day["file_input_tokens"]) == (4_000, 3_000)
    assert (day["export_output_tokens"], day["file_output_tokens"]) == (500, 300)
    assert (day["export_usd"], day["file_usd"]) == (1.0, 0.75)
    assert found["coverage"] == {"calls": 75.0, "tokens": 73.33, "cost": 75.0}
    assert names(found["models"])["gpt-4o"]["file_calls"] == 3
    said = command(path, *files).stdout
    assert "The file has 75 % of the calls, 73.33 % of the tokens, 75 % of the cost of the export." in said
    assert "passed outside of the proxy" in said


def test_a_kind_of_usage_is_compared_with_calls_of_that_kind(path: Path, tmp_path: Path) -> None:
    result = {"object": "organization.usage.embeddings.result", "input_tokens": 50, "num_model_requests": 1}
    write_rows(path, [row(), row(operation="embeddings", prompt_tokens=50, completion_tokens=None)])
    embeddings = write(tmp_path / "embeddings.json", openai(FRIDAY, result))
    total = reconciled(path, embeddings)["total"]
    assert (total["export_calls"], total["file_calls"], total["file_input_tokens"]) == (1, 1, 50)
    stored = {"object": "organization.usage.vector_stores.result", "usage_bytes": 5}
    both = write(tmp_path / "both.json", openai(FRIDAY, completions(1, (1_000, 100)), stored))
    total = reconciled(path, both, embeddings)["total"]
    assert (total["export_calls"], total["file_calls"]) == (2, 2)


def test_anthropics_reports_are_compared(path: Path, tmp_path: Path) -> None:
    usage = anthropic(FRIDAY, messages((3, 500, 20_000, 700), model="claude-sonnet-4-5-20250929"))
    spent = anthropic(
        FRIDAY,
        cents("123.45", model="claude-sonnet-4-5-20250929", token_type="output_tokens"),
        cents("76.55", description="Web Search Usage", cost_type="web_search"),
    )
    fields: dict[str, Any] = {"provider": "anthropic", "model": "claude-sonnet-4-5", "response_model": None}
    write_rows(path, [row(**fields, prompt_tokens=20_503, completion_tokens=700, cost_usd=2.0)])
    found = reconciled(path, write(tmp_path / "usage.json", usage), write(tmp_path / "costs.json", spent))
    total = found["total"]
    assert (total["export_input_tokens"], total["export_output_tokens"]) == (20_503, 700)
    assert total["export_usd"] == total["file_usd"] == pytest.approx(2.0)
    assert found["coverage"] == {"calls": None, "tokens": 100.0, "cost": 100.0}
    assert names(found["models"])["claude-sonnet-4-5"]["export_usd"] == pytest.approx(1.2345)


def test_anthropics_analytics_are_compared(path: Path, tmp_path: Path) -> None:
    times = {"starting_at": f"{FRIDAY}T00:00:00Z", "ending_at": f"{SATURDAY}T00:00:00Z"}
    group = {"model": "claude-opus-5-5", "api_key_id": "apikey_1", "service_tier": "batch"}
    figures = messages((10, 0, 0, 5))
    used = {**times, "group": group, "usage": {**figures, "requests": 1, "total_tokens": 15}}
    spent = {**times, "group": group, "cost": {"amount": "50", "list_amount": "100", "currency": "USD"}}
    BetaAnalyticsUsageItem.model_validate(used)
    BetaAnalyticsCostItem.model_validate(spent)
    fields: dict[str, Any] = {
        "provider": "anthropic",
        "model": "claude-opus-5-5",
        "response_model": None,
        "service_tier": "batch",
    }
    write_rows(path, [row(**fields, prompt_tokens=10, completion_tokens=5, cost_usd=1.0)])
    document = {"has_more": False, "next_page": None}
    files = [write(tmp_path / f"{n}.json", {"data": [item], **document}) for n, item in enumerate((used, spent))]
    found = reconciled(path, *files)
    assert found["coverage"] == {"calls": 100.0, "tokens": 100.0, "cost": 200.0}
    assert (found["discount_usd"], found["export_batch_calls"]) == (0.5, 1)
    assert found["explained"]["batch"]["calls"] == 1
    assert "after a discount of $0.500000" in command(path, *files).stdout


def test_openrouters_activity_is_compared(path: Path, tmp_path: Path) -> None:
    line = {
        "generation_id": "gen-1",
        "created_at": f"{FRIDAY} 12:00:00.5",
        "cost_total": 0.01,
        "byok_usage_inference": 0.24,
        "tokens_prompt": 1_000,
        "tokens_completion": 100,
        "model_permaslug": "openai/gpt-4o-2024-08-06",
        "api_key_name": "shop",
    }
    last = {**line, "generation_id": "gen-2", "created_at": f"{SATURDAY} 23:00:00", "api_key_name": "other"}
    fields: dict[str, Any] = {"provider": "openrouter", "model": "openai/gpt-4o:free", "response_model": None}
    write_rows(
        path, [row(f"{FRIDAY}T12:00:00.900Z", **fields, key_id="4711"), row(f"{FRIDAY}T11:00:00.000Z", **fields)]
    )
    activity = tmp_path / "activity.csv"
    activity.write_text("\ufeff" + openrouter(line, last, {"generation_id": "broken"}))
    found = reconciled(path, activity)
    days = names(found["days"])
    assert (days[FRIDAY]["export_calls"], days[FRIDAY]["file_calls"]) == (1, 1)
    assert days[FRIDAY]["export_usd"] == days[FRIDAY]["file_usd"] == pytest.approx(0.25)
    assert (days[SATURDAY]["export_calls"], days[SATURDAY]["file_calls"]) == (1, 0)
    assert (names(found["models"])["openai/gpt-4o"]["file_calls"], found["read"]["unreadable_lines"]) == (1, 1)
    assert set(names(found["keys"])) == {"shop", "other", "4711"}
    one = reconciled(path, activity, "--key", "shop=4711")
    assert names(one["keys"]).keys() == {"shop"}
    assert one["coverage"] == {"calls": 100.0, "tokens": 100.0, "cost": 100.0}


def test_openrouters_api_is_compared(path: Path, tmp_path: Path) -> None:
    item = {
        "date": FRIDAY,
        "model": "openai/gpt-4o",
        "model_permaslug": "openai/gpt-4o-2024-08-06",
        "endpoint_id": "550e8400",
        "provider_name": "OpenAI",
        "usage": 0.5,
        "byok_usage_inference": 0,
        "requests": 2,
        "prompt_tokens": 2_000,
        "completion_tokens": 200,
        "reasoning_tokens": 0,
    }
    write_rows(
        path, [row(provider="openrouter", model="openai/gpt-4o"), row(provider="openrouter", model="openai/gpt-4o")]
    )
    found = reconciled(path, write(tmp_path / "activity.json", {"data": [item]}))
    assert found["coverage"] == {"calls": 100.0, "tokens": 100.0, "cost": 100.0}


def test_days_of_another_time_zone_have_the_calls_of_the_same_hours(path: Path, tmp_path: Path) -> None:
    page = openai(f"{FRIDAY}T07:00", completions(2, (2_000, 200)))
    write_rows(
        path,
        [
            row(f"{FRIDAY}T06:59:59.999Z"),
            row(f"{FRIDAY}T07:00:00.000Z"),
            row(f"{SATURDAY}T06:59:59.000Z", response_time_ms=1_500),
            row(f"{SATURDAY}T07:00:00.000Z"),
        ],
    )
    file = write(tmp_path / "usage.json", page)
    found = reconciled(path, file)
    assert names(found["days"])[f"{FRIDAY} 07:00"]["file_calls"] == 2
    assert found["days_begin_at"] == ["07:00"]
    assert found["explained"]["over_midnight"]["calls"] == 1
    assert "Days of the export begin at 07:00 UTC" in command(path, file).stdout


def test_hours_add_up_to_their_day(path: Path, tmp_path: Path) -> None:
    pages = [openai(f"{FRIDAY}T{hour:02}:00", completions(1, (1_000, 100)), seconds=3_600) for hour in (11, 12, 13)]
    write_rows(path, [row(), row(f"{FRIDAY}T13:30:00.000Z"), row(f"{FRIDAY}T20:00:00.000Z")])
    (day,) = reconciled(path, write(tmp_path / "usage.jsonl", *pages))["days"]
    assert (day["name"], day["export_calls"], day["file_calls"]) == (FRIDAY, 3, 2)


def test_what_no_export_has_is_left_out_and_what_explains_a_difference_is_told(path: Path, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"prompt_tokens": None, "completion_tokens": None, "cost_usd": None}
    write_rows(
        path,
        [
            row(),
            row(**nothing, success=False, status_code=429),
            row(billing="subscription"),
            row(success=False, error_type="client_disconnect", usage_source="partial", cost_note="output_unknown"),
            row(cost_usd=None, cost_note="no_price"),
        ],
    )
    file = write(tmp_path / "u.json", openai(FRIDAY, completions(3, (3_000, 300))))
    spent = write(tmp_path / "c.json", openai(FRIDAY, costs(0.75)))
    found = reconciled(path, file, spent)
    assert {name: part["calls"] for name, part in found["explained"].items()} == {
        "cut": 1,
        "failed": 1,
        "plan": 1,
        "without_cost": 1,
    }
    assert (found["total"]["file_calls"], found["total"]["file_is_lower_bound"]) == (3, True)
    said = command(path, file, spent).stdout
    for sentence in (
        "Left out: 1 call that failed and used nothing",
        "Left out: 1 call ($0.250000) that a plan pays for",
        "Of 1 call ($0.250000) that broke off only a part is known",
        "Of 1 call there is no cost here",
        "0.500000+",
    ):
        assert sentence in said


def test_nothing_is_counted_twice(path: Path, tmp_path: Path) -> None:
    by_model = openai(FRIDAY, completions(1, (1_000, 100), model="gpt-4o"), completions(1, (5, 5), model="gpt-5"))
    whole = openai(FRIDAY, completions(2, (1_005, 105)), has_more=True)
    files = [write(tmp_path / f"{n}.json", page) for n, page in enumerate((by_model, whole, by_model))]
    write_rows(path, [row(), row(prompt_tokens=5, completion_tokens=5)])
    found = reconciled(path, *files)
    assert (found["total"]["export_calls"], found["total"]["file_calls"], found["read"]["twice"]) == (2, 2, 3)
    assert found["read"]["unfinished"] == [str(files[1])]
    same = openai(FRIDAY, completions(1, (1, 1), model="a"), completions(1, (2, 2), model="a"))
    assert reconciled(path, write(tmp_path / "same.json", same))["total"]["export_calls"] == 2


def test_a_day_on_which_nothing_was_used_is_covered_too(path: Path, tmp_path: Path) -> None:
    write_rows(path, [row(f"{SATURDAY}T01:00:00.000Z")])
    file = write(tmp_path / "u.jsonl", openai(FRIDAY, completions(1, (1, 1))), openai(SATURDAY))
    days = names(reconciled(path, file)["days"])
    assert (days[SATURDAY]["export_calls"], days[SATURDAY]["file_calls"]) == (None, 1)


@pytest.mark.parametrize("page", [openai(FRIDAY, costs(1.0, "eur")), anthropic(FRIDAY, cents("1.0", "EUR"))])
def test_another_currency_is_refused(path: Path, tmp_path: Path, page: dict[str, Any]) -> None:
    assert "has costs in EUR, and only US dollars can be compared" in refused(path, write(tmp_path / "c.json", page))


FOREIGN = (
    *("", " ", "{", "[]x", "null", "7", '"page"', "[1]", "{}", '{"data": 1}', '{"data": [7]}'),
    *('{"data": [{"a": 1}]}', "[" * 100_000, "a,b\n1,2\n", "\x00\x01", "date,model,cost\n", '{"error": {"type": "x"}}'),
)


def test_what_is_no_export_is_a_sentence(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in FOREIGN:
        file.write_text(text)
        assert f"{file} is no export that is known" in refused(path, file)
    file.write_bytes(b"\xff\xfe\xff")
    assert "is no export that is known" in refused(path, file)
    assert "cannot be read (No such file or directory)" in refused(path, tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    assert "it is a pipe" in refused(path, tmp_path / "pipe")


def test_figures_that_cannot_be_true_are_unknown(path: Path, tmp_path: Path) -> None:
    result = completions(1, (-5, 7)) | {"output_tokens": "many"}
    spent = [
        costs(float("1e30")),
        costs(0.0) | {"amount": {"value": "x", "currency": None}},
        costs(0.0) | {"amount": None},
    ]
    files = write(tmp_path / "u.json", openai(FRIDAY, result)), write(tmp_path / "c.json", openai(FRIDAY, *spent))
    total = reconciled(path, *files)["total"]
    assert (total["export_calls"], total["export_input_tokens"], total["export_output_tokens"]) == (1, None, None)
    assert total["export_usd"] is None


def test_a_key_is_named_with_its_id(path: Path, tmp_path: Path) -> None:
    done = command(path, "--key", "nonsense", write(tmp_path / "u.json", openai(FRIDAY)))
    assert done.exit_code == 2
    assert "is no NAME=KEY_ID" in done.stderr


def test_an_export_of_nothing_has_nothing_to_compare_with(path: Path, tmp_path: Path) -> None:
    done = command(path, write(tmp_path / "u.json", openai(FRIDAY)))
    assert done.exit_code == 0
    assert "The export has nothing to compare with." in done.stdout
