"""What headers say of a sender is read once, and never taken for what another one says."""

from llm_metrics_proxy.addon.callers.sender import sender_of
from llm_metrics_proxy.addon.headers import plain
from llm_metrics_proxy.addon.providers.terms import Key

_TRACES = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2)]


def test_each_call_has_its_own_trace_and_each_key_its_own_sender() -> None:
    seen = [
        sender_of({"user-agent": "a/1", "authorization": f"Bearer {key}", "traceparent": trace}, "")
        for key in ("sk-first-key", "sk-ant-oat-second-key")
        for trace in _TRACES
    ]
    assert [one.columns["trace_id"] for one in seen] == [f"{number:032x}" for number in (1, 2, 1, 2)]
    assert [one.columns["user_agent"] for one in seen] == ["a/1"] * 4
    assert [set(one.secrets) for one in seen] == [{"sk-first-key"}] * 2 + [{"sk-ant-oat-second-key"}] * 2
    assert [one.key for one in seen] == [Key.OF_AN_ACCOUNT] * 2 + [Key.OF_A_PLAN] * 2
    assert "trace_id" not in sender_of({"user-agent": "a/1", "authorization": "Bearer sk-first-key"}, "").columns


def test_a_querys_secrets_are_those_of_its_call_alone() -> None:
    headers = {"user-agent": "a/1", "x-api-key": "of-the-header"}
    assert {*sender_of(headers, "key=of-the-query").secrets} == {"of-the-header", "of-the-query"}
    assert {*sender_of(headers, "").secrets} == {"of-the-header"}


def test_headers_that_are_too_long_to_be_remembered_are_read_all_the_same() -> None:
    headers = {"x-session-id": "s" * 5000, "x-api-key": "k" * 5000}
    assert set(sender_of(headers, "").secrets) == {"k" * 5000}
    assert sender_of(headers, "").caller.columns("/")["session_id"] == "s" * 256


def test_names_of_headers_are_the_same_however_they_are_written() -> None:
    for number in range(3000):  # more than are remembered
        fields = [(b"X-Name-%d" % number, b"a"), (b"x-name-%d" % number, b"b"), (b"X-" + b"N" * 100, b"c\xff")]
        assert plain(fields) == {f"x-name-{number}": "a, b", "x-" + "n" * 100: "c\udcff"}
        assert plain(fields[:1]) == {f"x-name-{number}": "a"}
