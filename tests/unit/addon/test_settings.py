"""Every option that cannot be used ends the start with one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.starting.settings import OPTIONS, BadOption, check_given, parse

_DEFAULTS: dict[str, str | None] = dict.fromkeys(OPTIONS)


@dataclass
class _Typed:
    """What mitmproxy keeps of `--set name=value`, once for each time it was given."""

    val: Sequence[str]


def _is_one_sentence(error: BadOption, name: str) -> bool:
    sentence = str(error)
    return name in sentence and sentence.endswith(".") and "\n" not in sentence and len(sentence) < 600


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("metrics_queue_size", "abc", "must be a whole number from 1 to 10000000, not 'abc'"),
        ("metrics_queue_size", "0", "must be a whole number"),
        ("metrics_queue_size", "-1", "must be a whole number"),
        ("metrics_queue_size", "1.5", "must be a whole number"),
        ("metrics_queue_size", "1e3", "must be a whole number"),
        ("metrics_queue_size", "10000001", "must be a whole number"),
        ("metrics_queue_size", "٣", "must be a whole number"),
        ("metrics_queue_size", "9" * 5000, "must be a whole number"),
        ("metrics_intercept_all", "yes", "must be true or false, not 'yes'"),
        ("metrics_intercept_all", "1", "must be true or false"),
        ("metrics_hosts", "(", "must be a regular expression"),
        ("metrics_hosts", "*.example", "must be a regular expression"),
        ("metrics_hosts", "a\n(", "must be a regular expression"),
        ("metrics_hosts", "a{99999999999}", "must be a regular expression"),
        ("metrics_hosts", "(" * 3000 + ")" * 3000, "must be a regular expression"),
        ("metrics_backup_dir", "~nosuchuser/backups", "metrics_backup_dir"),
        ("metrics_prices", "~nosuchuser/prices.toml", "metrics_prices names a home folder"),
        ("metrics_allowed_hosts", "a.example, https://b.example", "and 'https://b.example' is none"),
        ("metrics_allowed_hosts", "*.example", "must be host names separated by commas"),
        ("metrics_published", "a.example:80:80", "must be a host and a port"),
        ("metrics_published", "http://a.example:80", "must be a host and a port"),
        ("metrics_on_database_error", "ignore", "must be exit or spill, not 'ignore'"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(name: str, value: str, told: str) -> None:
    with pytest.raises(BadOption) as refused:
        parse(_DEFAULTS | {name: value})
    assert told in str(refused.value)
    assert _is_one_sentence(refused.value, name) or len(value) > 500


@pytest.mark.parametrize(
    ("deferred", "told"),
    [
        ({"metrics_dbb": _Typed(["x.db"])}, "There is no option metrics_dbb"),
        ({"metrics_": _Typed(["x"])}, "There is no option metrics_:"),
        ({"metrics_db": _Typed(["a.db", "b.db"])}, "metrics_db is given 2 times: give it once."),
        ({"metrics_db": _Typed([])}, "metrics_db has no value"),
        ({"metrics_db": _Typed([""])}, "metrics_db has no value"),
        ({"metrics_hosts": _Typed(["  "])}, "metrics_hosts has no value"),
        ({"metrics_dbb": "x.db"}, "There is no option metrics_dbb"),
        ({"metrics_db": ""}, "metrics_db has no value"),
        ({"metrics_db": None}, "metrics_db"),  # `metrics_db:` with nothing after it, in a configuration file
        ({"metrics_hosts": ["a.example", "b.example"]}, "metrics_hosts"),
        ({"metrics_hosts": {"a.example": 1}}, "metrics_hosts"),
    ],
)
def test_what_was_typed_wrongly_is_refused_in_one_sentence(deferred: dict[str, object], told: str) -> None:
    with pytest.raises(BadOption) as refused:
        check_given(deferred)
    assert told in str(refused.value)
    assert _is_one_sentence(refused.value, next(iter(deferred)))


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5000, "5000"), ("x.db", "x.db"), (1.5, "1.5")],
)
def test_values_of_a_configuration_file_become_texts(value: object, text: str) -> None:
    deferred: dict[str, object] = {"metrics_queue_size": value, "other_option": value}
    check_given(deferred)
    assert deferred == {"metrics_queue_size": text, "other_option": value}


def test_what_was_typed_rightly_is_left_to_mitmproxy() -> None:
    typed = _Typed(["x.db"])
    deferred: dict[str, object] = {"metrics_db": typed, "web_port": _Typed(["1", "2"])}
    check_given(deferred)
    assert deferred["metrics_db"] is typed


def test_without_options_the_defaults_hold() -> None:
    settings = parse(_DEFAULTS)
    assert (settings.database, settings.hosts, settings.backup_dir) == (None, None, None)
    assert (settings.intercept_all, settings.queue_size) == (False, 10_000)
    assert (settings.backup_interval, settings.retention, settings.spills) == ("1d", None, False)
    assert not settings.names("api.openai.com")


def test_options_mean_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    given_values = {
        "metrics_db": "x.db",
        "metrics_hosts": r"llm\.example$|^10\.",
        "metrics_intercept_all": " TRUE ",
        "metrics_backup_dir": "~/backups",
        "metrics_queue_size": " 50 ",
        "metrics_backup_interval": " OFF ",
        "metrics_retention": "90d",
        "metrics_prices": "~/prices.toml",
        "metrics_on_database_error": " Spill ",
        "metrics_published": " LLM.example.com:8443 ",
        "metrics_allowed_hosts": "ollama.example, .lab.example,[fd00::7]",
    }
    settings = parse(_DEFAULTS | given_values)
    assert (settings.database, settings.intercept_all, settings.queue_size) == ("x.db", True, 50)
    assert settings.backup_dir == Path("/home/somebody/backups")
    assert settings.prices == Path("/home/somebody/prices.toml")
    assert (settings.backup_interval, settings.retention, settings.spills) == (None, "90d", True)
    assert settings.published == ("llm.example.com", 8443)
    assert settings.allowed_hosts == ("ollama.example", ".lab.example", "[fd00::7]")
    hosts = ("a.LLM.example", "10.0.0.7", "llm.example.org", "210.0.0.7")
    assert [host for host in hosts if settings.names(host)] == ["a.LLM.example", "10.0.0.7"]


@given(name=st.sampled_from(sorted(OPTIONS)), value=st.text(min_size=1, max_size=40))
@pytest.mark.filterwarnings("ignore::FutureWarning")  # `[[` in a pattern
def test_any_text_is_taken_or_refused(name: str, value: str) -> None:
    try:
        parse(_DEFAULTS | {name: value})
    except BadOption as error:
        assert _is_one_sentence(error, name)  # noqa: PT017 - both ends are right
