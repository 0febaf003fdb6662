"""Every key that a wire format names is in a recorded case: one that a provider renames breaks that format's alone."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import asdict

from llm_metrics_proxy.addon import providers
from llm_metrics_proxy.addon.providers import quantities, read_usage
from llm_metrics_proxy.addon.providers.quantities import AUDIO_SECONDS, CACHE_READ, INPUT, OUTPUT, TOTAL
from llm_metrics_proxy.addon.providers.usage import (
    Apart,
    FirstOf,
    Instead,
    Listed,
    OtherModel,
    Usage,
    UsageKeys,
    UsageReader,
)
from tests.unit.reading import test_conformance, test_sessions
from tests.unit.reading.test_conformance import _at_once, _Case

type Path = tuple[str, ...]

ONLY_THE_ADDRESS_TELLS = ("thoughts_in_the_total_alone", "thoughts_beside_tools", "decisions_plain")
SESSIONS = {
    "gemini_live": "/v1beta/models/m:generateContent",
    "openai_realtime": "/v1/responses",
    "openai_responses": "/v1/responses",
}
"""Paths of the formats whose keys sessions have, too."""


def tables(reader: UsageReader) -> Iterator[UsageKeys]:
    for one in reader.readers if isinstance(reader, FirstOf) else (reader,):
        assert isinstance(one, UsageKeys)
        yield one
        if one.seen is not None:
            yield one.seen


def named(keys: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    for key, entry in keys.items():
        if isinstance(entry, Mapping):
            yield from named(entry, (*prefix, key))
        elif isinstance(entry, Listed):
            yield from ((*prefix, key, kind) for kind in entry.counts)
        elif isinstance(entry, OtherModel):
            (table,) = tables(entry.reader)
            yield from named(table.keys, (*prefix, key))
        else:
            yield (*prefix, key)


def said(usage: object, prefix: Path = ()) -> Iterator[Path]:
    if isinstance(usage, dict):
        for key, value in usage.items():
            yield from said(value, (*prefix, key))
    elif isinstance(usage, list):
        for part in usage:
            if isinstance(part, dict):
                yield from ((*prefix, str(value)) for value in part.values() if isinstance(value, str | int))
    else:
        yield prefix


def reported() -> Iterator[tuple[str, str, Usage]]:
    """Yield the host, the path and the usage of every recorded case."""
    for name in test_conformance._CASES:  # noqa: SLF001 - what is recorded
        case = _Case(name)
        row, _ = case.run("identity", [case.request.body], _at_once(case, "identity"))
        if row.usage:
            yield case.request.headers["host"], case.request.path, json.loads(row.usage)
    for name in test_sessions.CASES:
        case_of_session = json.loads((test_sessions.FIXTURES / f"{name}.json").read_text())
        for _, row in test_sessions._run(case_of_session, test_sessions.compact):  # noqa: SLF001
            if row.usage:
                yield "api.example", SESSIONS[name.partition("/")[0]], json.loads(row.usage)


def test_every_key_that_a_format_names_is_in_a_recorded_case() -> None:
    seen: dict[int, set[Path]] = defaultdict(set)
    for host, path, usage in reported():
        route = providers.match(host.partition(":")[0], 443, path.partition("?")[0])
        for table in tables(route.usage_reader) if route is not None else ():  # none is what is fetched later
            seen[id(table)] |= set(said(usage))
    missing = {}
    for _, wire_format, _ in providers._FORMATS:  # noqa: SLF001 - what is registered
        if wire_format is providers.openai_chat.GOOGLE_CHAT:  # whose keys are those of all chats
            continue
        for table in tables(wire_format.usage_keys):
            if lacking := set(named(table.keys)) - seen[id(table)]:
                missing[type(wire_format).__name__] = lacking
    assert missing == {}


def test_a_stored_usage_is_read_as_it_was_when_it_was_recorded() -> None:
    for name in test_conformance._CASES:  # noqa: SLF001
        case = _Case(name)
        row, _ = case.run("identity", [case.request.body], _at_once(case, "identity"))
        if row.usage:
            again = read_usage(json.loads(row.usage), row.host or "", row.endpoint or "")
            assert again.billed == json.loads(row.billed or "null"), name
            if not name.endswith(ONLY_THE_ADDRESS_TELLS):
                anywhere = read_usage(json.loads(row.usage), "", "")
                assert positive(anywhere.billed) == positive(again.billed), name


def positive(billed: dict[str, Any] | None) -> dict[str, Any]:
    return {name: count for name, count in (billed or {}).items() if count}


ABSURD = [-1, 10**13, 10**400, float("nan"), float("inf"), True, "5", "words", [5], {"a": 5}, 1.5]
NESTED: Any = {"input_tokens": 1}
for _ in range(500):
    NESTED = {"i": NESTED}


@pytest.mark.parametrize("value", [*ABSURD, NESTED], ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("key", ["i", "o", "c", "t"])
def test_what_cannot_be_true_is_billed_for_nothing(key: str, value: object) -> None:
    keys = UsageKeys({"i": INPUT, "o": OUTPUT, "c": Apart(CACHE_READ, INPUT), "t": TOTAL})
    read = keys.read({"i": 10, "o": 2, "c": 3, "t": 15} | {key: value})
    assert read.billed is None
    assert all(count is None or type(count) is int for count in asdict(read.tokens).values())


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_details_that_are_not_there_in_whatever_way_say_nothing(nothing: object) -> None:
    keys = UsageKeys({"i": INPUT, "o": OUTPUT, "details": {"c": CACHE_READ}})
    assert keys.read({"i": 10, "o": 2, "details": nothing}).billed == {INPUT: 10, OUTPUT: 2}


def test_only_durations_may_have_a_fraction() -> None:
    keys = UsageKeys({"i": INPUT, "s": AUDIO_SECONDS})
    assert keys.read({"i": 10.0, "s": 4.5}).billed == {INPUT: 10, AUDIO_SECONDS: 4.5}
    assert keys.read({"i": 10.5, "s": 4.5}).billed is None


def test_another_name_for_the_same_counts_only_where_the_name_itself_is_missing() -> None:
    keys = UsageKeys({"c": CACHE_READ, "d": Instead(CACHE_READ), "e": Instead(Apart(CACHE_READ, INPUT)), "i": INPUT})
    assert keys.read({"d": 7, "c": 5, "e": 9, "i": 20}).billed == {CACHE_READ: 5, INPUT: 20}
    assert keys.read({"d": 7, "e": 9, "i": 20}).billed == {CACHE_READ: 7, INPUT: 20}
    assert keys.read({"e": 9, "i": 20}).billed == {CACHE_READ: 9, INPUT: 29}
    assert keys.read({"e": 9}).billed == {CACHE_READ: 9}


def test_0_is_left_out_but_for_input_and_output() -> None:
    keys = UsageKeys({"i": INPUT, "o": OUTPUT, "c": CACHE_READ})
    assert keys.read({"i": 0, "o": 0, "c": 0}).billed == {INPUT: 0, OUTPUT: 0}
    assert keys.read({"c": 0}).billed is None
    assert keys.read({"c": 0}).tokens.cached_tokens == 0


def test_a_list_of_any_length_is_looked_at_only_so_far() -> None:
    keys = UsageKeys({"l": Listed("kind", "count", {"a": INPUT})})
    assert keys.read({"l": [{"kind": "a", "count": 1}] * 10_000}).billed == {INPUT: 100}
    odd = [5, None, {"kind": ["a"] * 10_000}, {"count": 3}, {"kind": "b", "count": -3}, {"kind": "a"}]
    assert keys.read({"l": odd}).billed is None


def test_no_two_quantities_have_one_name() -> None:
    names = [value for name, value in vars(quantities).items() if name.isupper() and isinstance(value, str)]
    assert len(names) == len(set(names))
    with suppress(ValueError):
        names.remove(TOTAL)
    assert len(json.dumps(dict.fromkeys(names, 10**12))) < 2048  # what SECURITY.md says


def test_counts_that_are_too_large_together_are_unknown() -> None:
    keys = UsageKeys({"i": INPUT, "c": Apart(CACHE_READ, INPUT), "o": OUTPUT})
    read = keys.read({"i": 10**12, "c": 1, "o": 5})
    assert read.billed is None
    assert (read.tokens.prompt_tokens, read.tokens.completion_tokens, read.tokens.cached_tokens) == (None, 5, 1)
    assert keys.read({"i": 10**12, "o": 5}).tokens.total_tokens is None
