"""The table of hosts: what stands in it, what it opens, and how fast it is looked up."""

import re
import timeit
from datetime import date
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anthropic
import openai
import pytest
from genai_prices import data_snapshot

from llm_metrics_proxy.addon.providers import hosts, match
from llm_metrics_proxy.addon.providers.hosts import HOSTS, Host, find, is_of_api, name_of, provider_of
from llm_metrics_proxy.recorder.prices import price_list
from llm_metrics_proxy.recorder.prices.call import Call
from tests.trials.clients.catalogue import CLIENTS

_FIXTURES = Path(__file__).parents[2] / "fixtures"
_NOT_READ = {"cursor", "elevenlabs"}  # of genai-prices: docs/coverage.md says why
_BY_PATH = "huggingface_"  # its providers that share one host


def _a_name_of(line: Host) -> str:
    return line.name.replace("**", "api").replace("*", "x-1")


def test_every_line_is_complete_and_its_call_is_one_that_a_wire_format_knows() -> None:
    assert len(HOSTS) > 350
    for line in HOSTS:
        assert re.fullmatch(r"(?:[a-z0-9_*-]+\.)+[a-z]+", line.name), line
        assert re.fullmatch(r"[a-z0-9_.]+", line.provider), line
        assert line.source, line
        date.fromisoformat(line.date)
        route = match(_a_name_of(line), 443, line.path, named=True)
        assert route is not None, line
        assert route.provider == line.provider, line
        assert is_of_api(_a_name_of(line), line.path), line
        assert line.is_opened or line.under or "modal.run" in line.name, line  # else nothing says what it carries


def test_no_line_hides_another_and_no_pattern_repeats_a_name() -> None:
    names = [line.name for line in HOSTS]
    assert len(set(names)) == len(names)
    for line in HOSTS:
        name = _a_name_of(line)
        assert find(name) is line
        patterns = hosts._PATTERNS.get(hosts._end(name), ())  # noqa: SLF001 - which of them fit is what is tested
        others = [other for pattern, other in patterns if pattern.fullmatch(name) and other is not line]
        assert all(other.provider != line.provider for other in others), (line, others)
        assert not others or "*" not in line.name, (line, others)  # a whole name goes first


@pytest.mark.parametrize(
    "host",
    [
        "amazonaws.com", "x.amazonaws.com", "s3.us-east-1.amazonaws.com", "sts.us-east-1.amazonaws.com",
        "bedrock.us-east-1.amazonaws.com", "sqs.us-east-1.api.aws", "www.googleapis.com", "oauth2.googleapis.com",
        "storage.googleapis.com", "bigquery.googleapis.com", "management.azure.com", "x.vault.azure.net",
        "x.blob.core.windows.net", "x.azure.com", "x.search.windows.net", "contoso.azure-api.net", "oss.aliyuncs.com",
        "objectstorage.eu-frankfurt-1.oraclecloud.com", "github.com", "api.github.com", "x.ghe.com", "huggingface.co",
        "vercel.com", "api.vercel.com", "api.cloudflare.com", "x.snowflakecomputing.com", "my.cloud.databricks.com",
        "adb-1.2.azuredatabricks.net", "me--app.modal.run", "x.hana.ondemand.com", "api.infomaniak.com",
        "www.openai.com", "auth.openai.com", "claude.ai", "console.anthropic.com", "api2.cursor.sh", "localhost",
        "10.0.0.1", "::1", "", ".", "a" * 300,
    ],
)  # fmt: skip
def test_a_host_that_carries_much_else_is_not_opened(host: str) -> None:
    assert provider_of(host) is None


@pytest.mark.parametrize(
    ("host", "provider", "of_api", "else_"),
    [
        ("api.cloudflare.com", "cloudflare", "/client/v4/accounts/1f/ai/run/@cf/x", "/client/v4/zones"),
        ("acme.eu.snowflakecomputing.com", "snowflake", "/api/v2/cortex/inference:complete", "/api/v2/statements"),
        ("adb-1.2.azuredatabricks.net", "databricks", "/serving-endpoints/m/invocations", "/api/2.1/jobs/run-now"),
        ("dbc-1.cloud.databricks.com", "databricks", "/ai-gateway/mlflow/v1/x", "/sql/1.0/x"),
        ("chatgpt.com", "openai", "/backend-api/codex/new", "/backend-api/conversation"),
        ("api.openai.com", "openai", "/v1/anything", "/v1/anything/../else"),
        ("llm.example", "custom", "/anything", "/else"),
    ],
)
def test_of_a_host_that_carries_other_things_only_the_paths_of_its_api_count(
    host: str, provider: str, of_api: str, else_: str
) -> None:
    assert name_of(host, 443) == provider
    assert is_of_api(host, of_api)
    assert is_of_api(host, else_) is (host in {"llm.example", "api.openai.com"})


def test_the_page_of_what_is_left_out_names_every_host_that_is_known_and_not_opened() -> None:
    page = (Path(__file__).parents[3] / "docs" / "coverage.md").read_text()
    closed = {line.name.replace("**", "*") for line in HOSTS if not line.is_opened}
    assert {name for name in closed if f"`{name}`" not in page} == set()


def test_every_host_that_the_tried_clients_ask_by_default_is_opened() -> None:
    asked = {str(openai.OpenAI(api_key="x").base_url), str(anthropic.Anthropic(api_key="x").base_url)}
    named = {urlsplit(url).hostname or "" for url in asked}
    for case in {call.case for client in CLIENTS for call in client.calls if "HTTPS_PROXY" in client.needs}:
        head = (_FIXTURES / case / "request.http").read_text().partition("\n\n")[0]
        named |= {line.partition(":")[2].strip() for line in head.splitlines() if line.lower().startswith("host:")}
    assert {"api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"} <= named
    assert {host for host in named if provider_of(host) is None} == set()


def test_every_provider_whose_prices_are_known_has_a_host_and_keeps_its_prices() -> None:
    addresses = {line: f"https://{_a_name_of(line)}{line.path}" for line in HOSTS}
    others = [f"https://{line.name.replace('**', 'oai')}{line.path}" for line in HOSTS if "**" in line.name]
    for provider in data_snapshot.get_snapshot().providers:
        fits = any(re.match(provider.api_pattern, address) for address in (*addresses.values(), *others))
        assert fits is (provider.id not in _NOT_READ and not provider.id.startswith(_BY_PATH)), provider.id
    for line, address in addresses.items():
        known = [p.id for p in data_snapshot.get_snapshot().providers if re.match(p.api_pattern, address)]
        call = Call("2026-01-01T00:00:00.000Z", provider=line.provider, host=_a_name_of(line), endpoint=line.path)
        found = price_list.provider_of(call)
        if known and line.provider != "anthropic":  # Claude on Google's hosts is Anthropic's
            assert found is not None, line
            assert found.id in known, line


def test_a_lookup_takes_less_than_a_microsecond_once_a_name_is_known() -> None:
    for name in ("api.openai.com", "acme.openai.azure.com", "files.example.com"):
        again, anew = partial(provider_of, name), partial(find.__wrapped__, name)
        assert min(timeit.repeat(again, number=10_000, repeat=5)) / 10_000 < 1e-6
        assert min(timeit.repeat(anew, number=1_000, repeat=5)) / 1_000 < 20e-6
