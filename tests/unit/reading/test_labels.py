"""Labels from headers, the proxy's user and baggage: merged, bounded, and never a secret."""

import json

import pytest

from llm_metrics_proxy.addon.callers.labels import for_the_proxy, labels_of, origin_in
from llm_metrics_proxy.recorder.events import LONGEST_LABEL, MOST_LABELS

KEY = "sk-proj-Zq7Xw1234567890abcdefgh"


def labels(
    user: str | None = None, baggage: str | None = None, secrets: tuple[str, ...] = (), **ours: str
) -> dict[str, str] | None:
    headers = {} if baggage is None else {"baggage": baggage}
    named = {f"x-llm-label-{name}": value for name, value in ours.items()}
    found = labels_of(named, user, headers, ("team", "tenant"), secrets).json
    return None if found is None else json.loads(found)


@pytest.mark.parametrize(
    "user",
    [
        "billing;team=search;env=prod",
        "billing,team=search,env=prod",
        "team=search; billing ;ENV=prod",
        "billing%3Bteam%3Dsearch%3Benv%3Dprod",  # axios sends the URL's spelling as it is
        "billing,team%3Dsearch,env%3dprod",
    ],
)
def test_the_proxys_user_has_labels_beside_who_calls(user: str) -> None:
    assert labels(user) == {"team": "search", "env": "prod"}
    assert origin_in(user) == "billing"


@pytest.mark.parametrize(
    "user", [None, "billing", "Doe, John", "a;b", "dG9rZW4=", "dG9rZQ==", "é=1", "ab+/c=d", "x%20y"]
)
def test_a_user_without_labels_is_who_calls_as_it_is(user: str | None) -> None:
    assert origin_in(user) == user
    assert labels(user) is None


def test_a_user_of_labels_alone_says_nobody() -> None:
    assert origin_in("team=search;env=prod") is None


def test_a_header_comes_before_the_user_and_that_before_baggage() -> None:
    found = labels("me;team=user;env=user", "team=bag,tenant=bag", team="header")
    assert found == {"team": "header", "env": "user", "tenant": "bag"}


def test_of_baggage_only_names_that_are_allowed_are_taken_without_their_properties() -> None:
    assert labels(baggage="team=se%61rch;ttl=1, userId=alice,TENANT=a%20b ,broken") == {
        "team": "search",
        "tenant": "a b",
    }


def test_names_and_values_are_bounded() -> None:
    many = {f"x-llm-label-n{number}": str(number) for number in range(20)}
    assert len(json.loads(labels_of(many, None, {}, (), ()).json or "{}")) == MOST_LABELS
    assert labels(team="x" * 1_000_000) == {"team": "x" * LONGEST_LABEL}
    assert labels("me;" + "n" * 33 + "=1") is None
    assert labels(";".join(f"n{number}={number}" for number in range(10_000))) is not None


def test_control_characters_are_replaced_and_what_is_empty_is_left_out() -> None:
    assert labels(team="a\x00b\x1b[2J\u202ec", env=" ", stage="") == {"team": "a\ufffdb\ufffd[2J\ufffdc"}
    assert labels(team="\"}'; DROP TABLE quota;--\\") == {"team": "\"}'; DROP TABLE quota;--\\"}


@pytest.mark.parametrize(
    "value", [KEY, f"my {KEY}", "x-" * 20 + KEY, "AKIA" + "Q" * 16, "0123456789abcdef" * 2, "own-secret"]
)
def test_what_looks_like_a_key_or_is_the_requests_own_is_left_out(value: str) -> None:
    assert labels(f"me;team={value};env=prod", secrets=("own-secret",)) == {"env": "prod"}
    assert labels(team=value, env="prod", secrets=("own-secret",)) == {"env": "prod"}
    assert labels(baggage=f"team={value},tenant=a", secrets=("own-secret",)) == {"tenant": "a"}


def test_a_name_that_is_a_key_is_left_out() -> None:
    named = {"x-llm-label-sk-proj-zq7xw1234567890abcd": "1"}
    assert labels_of(named, None, {}, (), ()) == (None, True)


def test_it_is_told_that_a_label_was_left_out() -> None:
    assert not labels_of({"x-llm-label-a": "1"}, "me", {"baggage": "x=1"}, ("team",), ()).some_left_out
    assert labels_of({"x-llm-label-a": KEY}, None, {}, (), ()).some_left_out
    assert labels_of({f"x-llm-label-n{number}": "1" for number in range(9)}, None, {}, (), ()).some_left_out


def test_only_headers_for_the_proxy_are_found() -> None:
    headers = {"x-llm-origin": "a", "x-llm-label-team": "b", "x-llm-other": "c", "x-api-key": "d"}
    assert for_the_proxy(headers) == ["x-llm-origin", "x-llm-label-team"]
