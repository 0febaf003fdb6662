"""`llm-metrics prices`: a newer list from a server of our own, what a model costs, and models without a price."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_metrics_proxy.recorder.commands.prices import prices
from llm_metrics_proxy.recorder.prices import newer_list, price_file
from llm_metrics_proxy.recorder.prices.history import Span
from llm_metrics_proxy.recorder.prices.newer_list import source
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.recost import recost
from tests.unit.prices.recosted import COST, Fill, costs


def listed(provider: str, model: str, rate: float) -> dict[str, object]:
    price = {"input_mtok": rate, "output_mtok": 10 * rate}
    of_model = {"id": model, "match": {"equals": model}, "prices": price}
    return {"id": provider, "name": provider, "api_pattern": f"https://{provider}\\.example", "models": [of_model]}


LIST = [listed("openai", "gpt-4o", 7), *(listed(f"made-up-{number}", "model", 1) for number in range(20))]
NEWER_FORM = [{"id": f"p{number}", "prices_by_unit": {}} for number in range(20)]


@contextmanager
def publishing(answer: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/data.json"
        server.shutdown()


@pytest.fixture(autouse=True)
def the_installed_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield
    newer_list.use(tmp_path / "none" / "metrics.db")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(prices, [str(one) for one in arguments])


def test_a_list_that_was_fetched_prices_calls_in_every_process(fill: Fill) -> None:
    path = fill({}, {"model": "gpt-4.1", "response_model": None})
    with publishing(json.dumps(LIST).encode()) as url:
        done = command("update", "--db", path, "--url", url)
    assert done.exit_code == 0, done.output
    assert "has prices of 21 models" in done.stdout
    recost(path, OwnPrices(), Span())
    assert costs(path) == [(0.014, source()), (None, None)]
    assert " of 20" in source()  # the day it was fetched
    (path.parent / newer_list.NAME).unlink()
    recost(path, OwnPrices(), Span())
    assert costs(path)[0] == (COST, source())
    assert " of " not in source()


def test_a_list_of_another_version_of_the_package_is_left_alone(fill: Fill) -> None:
    path = fill({})
    with publishing(json.dumps(LIST).encode()) as url:
        command("update", "--db", path, "--url", url)
    kept = path.parent / newer_list.NAME
    kept.write_text(kept.read_text().replace('"version":"', '"version":"0.'))
    recost(path, OwnPrices(), Span())
    assert costs(path) == [(COST, source())]


@pytest.mark.parametrize(
    ("answer", "status", "sentence"),
    [
        (b"<html>", 200, "answered is no JSON: try again later; prices stay as they were."),
        (b"{}", 200, "is a list of prices in another form than this version of genai-prices reads: update the package"),
        (b"[]", 200, "is no list of prices: it names too few providers: update the package genai-prices"),
        (json.dumps(NEWER_FORM).encode(), 200, "is a list of prices in a form that this version does not know: update"),
        (b"", 503, "cannot be fetched from http://127.0.0.1:"),
    ],
)
def test_an_answer_that_is_no_list_is_one_sentence_and_nothing_is_kept(
    fill: Fill, answer: bytes, status: int, sentence: str
) -> None:
    path = fill({})
    with publishing(answer, status) as url:
        done = command("update", "--db", path, "--url", url)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "prices stay as they were" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (path.parent / newer_list.NAME).exists()


def test_without_a_network_and_behind_a_proxy_that_is_not_there_it_says_so(
    fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill({})
    with publishing(b"") as gone:
        pass
    assert "cannot be fetched from" in command("update", "--db", path, "--url", gone).stderr
    monkeypatch.setenv("HTTPS_PROXY", gone)
    done = command("update", "--db", path)
    assert done.exit_code == 1
    assert "check the network, HTTPS_PROXY and SSL_CERT_FILE" in done.stderr


def test_a_damaged_file_is_one_sentence(fill: Fill) -> None:
    path = fill({})
    (path.parent / newer_list.NAME).write_text("{")
    done = command("show", "gpt-4o", "--db", path)
    assert done.exit_code == 1
    assert "is damaged: run 'llm-metrics prices update' again, or delete the file." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["gpt-4o", "--provider", "openai"],
            ["gpt-4o, openai, ", "input tokens            $2.5 for a million", "from "],
        ),
        (
            ["gpt-5.5", "--provider", "openai", "--tier", "flex", "--at", "2026-11-01"],
            ["2026-11-01, flex", "$15 for a"],
        ),
        (
            ["gpt-5.5", "--provider", "openai", "--at", "2026-11-01"],
            ["$10 for a million, if the input is more than 272"],
        ),
        (["gemini-3.5-flash", "--provider", "gcp.gemini", "--tier", "priority"], ["$16.2", "1.8 times as published: "]),
        (
            ["llama-3.3-70b-versatile", "--provider", "groq", "--tier", "made-up"],
            ["no price: the service tier has no known price"],
        ),
        (["claude-opus-5-5"], ["claude-opus-5-5, anthropic, ", "claude-opus-5-5, google, "]),
    ],
)
def test_what_a_model_is_charged_is_shown_with_its_source(fill: Fill, arguments: list[str], lines: list[str]) -> None:
    said = command("show", *arguments, "--db", fill({})).stdout
    for line in lines:
        assert line in said


def test_an_own_price_is_shown_before_the_list(fill: Fill) -> None:
    path = fill({})
    (path.parent / "prices.toml").write_text('[[price]]\nmodel = "gpt-*"\ninput = 0.5\noutput = 1\n')
    said = command("show", "gpt-4o", "--db", path).stdout
    assert "input                   $0.5 for a million" in said
    assert "from prices.toml, gpt-*" in said
    assert json.loads(command("show", "gpt-4o", "--db", path, "--json").stdout)[0]["rates"][0]["usd"] == 0.5


def test_what_has_no_price_is_one_sentence(fill: Fill) -> None:
    path = fill({})
    assert command("show", "nobodys\x1b", "--db", path).stderr.startswith("Error: No price is known of 'nobodys\\x1b':")
    assert (
        "has no provider 'me': give one of anthropic, " in command("show", "x", "--provider", "me", "--db", path).stderr
    )


def test_models_without_a_price_get_lines_that_give_them_one(fill: Fill) -> None:
    now = {"timestamp": "9999-01-01T00:00:00.000Z", "provider": "custom", "response_model": None}
    path = fill({"model": 'my "llama"'} | now, {"model": "openai/gpt-4o"} | now, {})
    assert (
        command("check", "--db", path).stdout == "Every model that was called has a price.\n"
    )  # nothing is priced yet
    recost(path, OwnPrices(), Span())
    done = command("check", "--db", path)
    assert done.exit_code == 3
    assert "# 1 calls, 1,000 tokens of input and 100 of output, the last on 9999-01-01\n[[price]]" in done.stdout
    assert '[[alias]]\nmodel = "openai/gpt-4o"\nprovider = "custom"\nas = "gpt-4o"\nlist = "openai"' in done.stdout
    (path.parent / "prices.toml").write_text(done.stdout)

    recost(path, price_file.load(None, path), Span())
    assert [cost for cost, _ in costs(path)] == [0.0, COST, COST]
    assert command("check", "--db", path).exit_code == 0
