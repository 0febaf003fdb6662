"""What counts as a gap in coverage, and how its path is folded."""

import re
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.unread import NO_CALLS, is_gap, unreachable, unrecognised
from tests.trials.hostile.plants import MARK, QUOTED, found_in_text

_AT = "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        "/v1/models/gpt-5.5",
        "/openai/deployments/x/models",
        "/v1beta/models/gemini-3-flash:countTokens",
        "/v1/projects/p/locations/l/publishers/google/models/m:computeTokens",
        "/v1beta/models/gemini-3-flash:batchGenerateContent",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/batches/batch_1/cancel",
        "/v1/files",
        "/v1/files/file-1/content",
        "/v1/uploads/up_1/parts",
        "/v1/vector_stores/vs_1/files",
        "/v1/responses/input_tokens",
        "/v1/moderations",
        "/v1/fine_tuning/jobs",
        "/v1/tokenize",
        "/v1beta/cachedContents",
        "/api/oauth/token",
        "/health",
        "/",
    ],
)
def test_what_is_not_recorded_on_purpose_is_no_gap(path: str) -> None:
    assert not is_gap("api.openai.com", path)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.anthropic.com", "/api/event_logging/v2/batch"),
        ("api.anthropic.com", "/api/event_logging/batch"),
        ("api.anthropic.com", "/api/claude_code/metrics"),
        ("api.anthropic.com", "/api/claude_cli_feedback"),
        ("api.anthropic.com", "/api/oauth/claude_cli/create_api_key"),
        ("api.anthropic.com", "/v1/session_ingress/session/3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ("chatgpt.com", "/backend-api/codex/analytics-events/events"),
        ("chatgpt.com", "/backend-api/wham/apps"),
        ("chatgpt.com", "/backend-api/ps/mcp"),
        ("chatgpt.com", "/backend-api/conversation"),
        ("api.openai.com", "/v1/traces/ingest"),
        ("api.openai.com", "/v1/realtime/client_secrets"),
        ("api.openai.com", "/v1/responses/resp_1/cancel"),
        ("api.githubcopilot.com", "/mcp/readonly"),
        ("api.githubcopilot.com", "/models/session"),
        ("api.githubcopilot.com", "/models/gpt-5/policy"),
        ("cloudcode-pa.googleapis.com", "/v1internal:loadCodeAssist"),
        ("cloudcode-pa.googleapis.com", "/v1internal:onboardUser"),
        ("cloudcode-pa.googleapis.com", "/v1internal:recordCodeAssistMetrics"),
        ("cloudcode-pa.googleapis.com", "/v1internal:retrieveUserQuota"),
        ("cloudcode-pa.googleapis.com", "/v1internal:listExperiments"),
        ("api.cline.bot", "/v1/mcp"),
        ("api.mistral.ai", "/telemetry/v1/traces"),
        ("api.minimax.io", "/v1/token_plan/remains"),
        ("openrouter.ai", "/api/v1/auth/keys"),
        ("opencode.ai", "/auth/github/callback"),
        ("ollama.com", "/api/show"),
        ("api.cloudflare.com", "/client/v4/zones/1/dns_records"),
        ("llm.example", "/mcp"),
    ],
)
def test_what_agents_send_besides_calls_is_no_gap(host: str, path: str) -> None:
    assert not is_gap(host, path)
    assert not is_gap(host, path + "/")


@pytest.mark.parametrize(
    "path",
    [
        "/v1internal:generateBrandNew",
        "/v1/models/gemini/mcpify",
        "/v1/token_pool/run",
        "/api/v1/services/aigc/brand-new/generation",
        "/v1/videos/create",
        "/v1/agents/a/sessions",
        "/v2/brand-new",
        "/v1/videos",
        "/v1/modelsmith",
        "/v1/profiles/run",
        "/v1/my_files",
        "/v1/healthcare/ask",
        "/v1beta/models/imagen-5:predict",
        "/v1beta/models/veo-4:predictLongRunning",
        "/v1/models/llama/generate",
        "/v1/users-guide",
    ],
)
def test_what_might_have_been_a_call_is_a_gap(path: str) -> None:
    assert is_gap("api.openai.com", path)


@pytest.mark.parametrize(
    ("path", "folded"),
    [
        ("/v1/videos", "/v1/videos"),
        ("/v1/videos/42/remix", "/v1/videos/{id}/remix"),
        ("/v1/videos/video_68f1a2b3c4d5e6f7/remix", "/v1/videos/{id}/remix"),
        ("/v1/x/3f2504e0-4f89-11d3-9a0c-0305e82c3301", "/v1/x/{id}"),
        ("/v1/x/deadbeefdeadbeef00", "/v1/x/{id}"),
        ("/v1/x/" + "long" * 11, "/v1/x/{id}"),
        ("/v1/text-generation/run", "/v1/text-generation/run"),
        ("/v1beta/brand_new_thing", "/v1beta/brand_new_thing"),
        ("/v2/models/gemini-3-flash:new", "/v2/models/gemini-3-flash:new"),
        ("/v1/x/resp_AbCdEfGhIjKl", "/v1/x/{id}"),
        ("/v1/x/file-AbCdEfGhIjKl/y", "/v1/x/{id}/y"),
        ("/v1/x/01J8ZQ4Y3N5W6X7K8M9P0QRSTV", "/v1/x/{id}"),
        ("/v1/x/a1b2-c3d4e5f6g7h8i9j0", "/v1/x/{id}"),
        ("/v1/x/someone@example.com/y", "/v1/x/{id}/y"),
        (
            "/v1/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct",
            "/v1/accounts/a/ai/run/@cf/meta/llama-3.1-8b-instruct",
        ),
        ("/v1/text-embedding-ada002/run", "/v1/text-embedding-ada002/run"),
        ("/v1/agents:brandNewVerb", "/v1/agents:brandNewVerb"),
        ("", "/"),
    ],
)
def test_ids_in_a_path_become_one_word(path: str, folded: str) -> None:
    assert unrecognised("api.openai.com", path, "", {}, _AT).path == folded


def test_the_page_of_what_is_left_out_has_a_line_for_every_kind_of_request_that_is_no_call() -> None:
    page = (Path(__file__).parents[3] / "docs" / "coverage.md").read_text()
    for kind in NO_CALLS:
        assert f"| {kind} |" in page


def test_the_event_names_host_path_and_time() -> None:
    event = unrecognised("api.openai.com", "/v1/videos", "", {}, _AT)
    assert (event.host, event.path, event.at) == ("api.openai.com", "/v1/videos", _AT)


@given(host=st.text(max_size=400), path=st.text(max_size=2000) | st.from_regex(r"(/[a-z0-9_:-]*)+"))
def test_any_path_is_judged_and_folded_to_something_short_and_printable(host: str, path: str) -> None:
    assert is_gap("api.openai.com", path) in (True, False)
    event = unrecognised(host, path, "", {}, _AT)
    for value in (event.host, event.path):
        assert 0 < len(value) <= 256
        assert not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value)


@given(
    id_=st.uuids().map(str)
    | st.integers(min_value=0).map(str)
    | st.from_regex(r"req_[0-9][0-9a-f]{20}", fullmatch=True)
    | st.from_regex(r"(resp|msg|file|thread)[-_][A-Za-z0-9]{12,24}", fullmatch=True)
    | st.from_regex(r"[A-Z][a-z][0-9][A-Za-z0-9_=-]{18,30}", fullmatch=True)
)
def test_a_thousand_ids_are_one_path(id_: str) -> None:
    assert unrecognised("h", f"/v1/things/{id_}/run", "", {}, _AT).path == "/v1/things/{id}/run"


@pytest.mark.parametrize("number", range(len(QUOTED)))
def test_the_requests_credentials_are_in_no_path(number: int) -> None:
    own = f"own-{MARK}-credential"
    event = unrecognised("h", f"/v1/things/{QUOTED[number](own)}/run", f"key={own}", {}, _AT)
    assert not found_in_text(event.path)


def test_the_password_of_the_proxys_url_is_in_no_row_of_a_provider_out_of_reach() -> None:
    row = unreachable(
        timestamp=_AT,
        event_id="0" * 32,
        waited_ns=1,
        provider=None,
        host=f"{MARK}-password-of-mine.example:443",
        reason=f"no {MARK}-password-of-mine",
        headers={"proxy-authorization": f"Basic {b64encode(f'me:{MARK}-password-of-mine'.encode()).decode()}"}
        | {"user-agent": f"curl/8 {MARK}-password-of-mine"},
        origin="me",
        client="127.0.0.1",
    )
    assert not found_in_text(repr(row))
    assert row.user_agent == "curl/8 [masked]"
