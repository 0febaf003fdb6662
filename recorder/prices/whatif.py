"""What real calls would have cost otherwise: as calls of other models, on another tier, without a cache, or on a day.

Each call keeps what it consumed, and is priced by pricing.py once more. Another model is looked for in the list of the
call's own provider first, which may be a gateway or a cloud, else in that of its maker, where the call's region means
nothing.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from genai_prices.types import Provider

from llm_metrics_proxy.recorder.errors import NoAnswer
from llm_metrics_proxy.recorder.figures.sums import PLAN
from llm_metrics_proxy.recorder.prices import history, newer_list, notes, price_list
from llm_metrics_proxy.recorder.prices.call import Call, Consumed
from llm_metrics_proxy.recorder.prices.history import Row, Span
from llm_metrics_proxy.recorder.prices.price_file import OwnPrices
from llm_metrics_proxy.recorder.prices.pricing import OWN, Cost, Whose, cost_on, whose_prices
from llm_metrics_proxy.recorder.prices.terms import Terms, terms_of, tier_word
from llm_metrics_proxy.recorder.store import database, identity, timestamps, watermarks

OTHERS: Final = "(others)"

_MOST_NAMED: Final = 10_000  # models: clients choose their names
_MOST_LISTED: Final = 5
_REMEMBERED: Final = 4096
_DAY: Final = 10  # characters of a timestamp


class Otherwise(NamedTuple):
    """What is asked: None and False leave a call as it was."""

    models: tuple[tuple[str, str], ...] = ()
    """Patterns as in file names, each with the model that answers; `provider:model` names its list. The last counts."""
    tier: str | None = None
    no_cache: bool = False
    at: str | None = None
    """The day whose prices hold, as YYYY-MM-DD; else that of each call."""


class Line(msgspec.Struct):
    """The calls of a model, and as which one they are priced; a sum is None where nothing of it is known."""

    model: str
    as_model: str
    prices_of: str  # genai-prices' name of the list, or "file"; "" if there is none
    plan: bool  # nobody pays for these
    calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd_was: float | None = None
    was_unknown: int = 0
    was_lower_bounds: int = 0
    usd_would: float | None = None
    would_unknown: int = 0
    would_lower_bounds: int = 0
    difference_usd: float | None = None
    compared: int = 0
    """Calls of which both costs are known, so that they make the difference."""
    saved_by_reads_usd: float | None = None
    """Without a cache: what its reads would have cost more as plain input, at the prices of what would be."""
    spent_on_writes_usd: float | None = None
    """And what its writes cost more than plain input."""

    def count(self, consumed: Consumed, was: Cost, would: Cost) -> None:
        """Count a call."""
        self.calls += 1
        prompt, completion = consumed.tokens
        self.input_tokens = _sum(self.input_tokens, prompt)
        self.output_tokens = _sum(self.output_tokens, completion)
        if was.usd is None:
            self.was_unknown += 1
        else:
            self.usd_was = (self.usd_was or 0.0) + was.usd
            self.was_lower_bounds += was.complete == 0
        if would.usd is None:
            self.would_unknown += 1
        else:
            self.usd_would = (self.usd_would or 0.0) + would.usd
            self.would_lower_bounds += would.complete == 0
        if was.usd is not None and would.usd is not None:
            self.compared += 1
            self.difference_usd = (self.difference_usd or 0.0) + would.usd - was.usd

    def count_cache(self, saved: float, spent: float) -> None:
        """Add what a cache saved and cost a call, in US dollars."""
        self.saved_by_reads_usd = (self.saved_by_reads_usd or 0.0) + saved
        self.spent_on_writes_usd = (self.spent_on_writes_usd or 0.0) + spent

    def add(self, other: "Line") -> None:
        """Add the figures of another line."""
        for name in _FIGURES:
            mine, its = getattr(self, name), getattr(other, name)
            if its is not None:
                setattr(self, name, its if mine is None else mine + its)


_FIGURES: Final = Line.__struct_fields__[4:]


class WhatIf(msgspec.Struct, frozen=True):
    """calls = those of `lines` + `left_out` + `not_billed`."""

    calls: int
    lines: tuple[Line, ...]  # those that cost most first
    totals: tuple[Line, ...]  # of what is billed, and of plans, as far as there are any
    left_out: dict[str, int]  # nothing says what they used: how many by a word of notes.py
    not_billed: int  # failed or refused: they cost nothing either way
    lacking: dict[str, int]  # of costs as they would be that are lower bounds or unknown
    without_calls: tuple[str, ...]  # patterns that fit no call


class _Rule(msgspec.Struct, frozen=True, eq=False):  # the same one is the same object
    pattern: str
    model: str
    provider: Provider | None  # in whose list it is, where the call's own has it not
    always: bool  # also where the call's own has it


def whatif(path: Path, own: OwnPrices, span: Span, asked: Otherwise) -> WhatIf:
    """Price the calls of a span otherwise; nothing is written.

    Raises:
        BadPrices: the list of prices beside the database is damaged.
        DatabaseRefused: there is no database of the present version at `path`, or SQLite refused.
        NoAnswer: a model or a tier has no known price, or there are no such calls.
    """
    newer_list.use(path)
    asking = _Asking(own, asked)
    try:
        with closing(database.open_reader(path)) as connection:
            for rows in history.between(connection, span, watermarks.newest(connection)):
                for row in rows:
                    asking.add(row)
    except sqlite3.Error as error:
        raise identity.refusal(path, error) from error
    return asking.result()


class _Then(NamedTuple):
    """A call as it would be: its names, whose prices hold, and on which terms."""

    call: Call
    whose: Whose
    terms: Terms


class _Asking:
    """Prices calls, and adds them up."""

    def __init__(self, own: OwnPrices, asked: Otherwise) -> None:
        self._own = own
        self._asked = asked
        self._tier = None if asked.tier is None else tier_word(asked.tier)
        self._rules = [self._rule(*one) for one in asked.models]
        self._without_calls = {one.pattern for one in self._rules}
        self._calls = self._not_billed = 0
        self._left_out: Counter[str] = Counter()
        self._lacking: Counter[str] = Counter()
        self._lines: dict[tuple[str, str, str, bool], Line] = {}
        self._rule_of = lru_cache(_REMEMBERED)(self._find_rule)
        self._then = lru_cache(_REMEMBERED)(self._work_out)

    def add(self, row: Row) -> None:
        """Add a call, if it is asked about."""
        call = row.call
        rule = self._rule_of(call.model, call.response_model) if call and self._rules else None
        if self._rules and rule is None:
            return
        self._calls += 1
        if call is None:
            self._left_out[notes.CONTRADICTORY] += 1
            return
        if rule is not None:
            self._without_calls.discard(rule.pattern)
        said = call.reported() if call.tells_more else {}
        consumed = call.consumed(said)
        if consumed.counts or consumed.others:
            self._price(row, call, said, consumed, rule)
        elif consumed.note:
            self._left_out[consumed.note] += 1
        else:
            self._not_billed += 1

    def result(self) -> WhatIf:
        """Return all that was added up.

        Raises:
            NoAnswer: nothing was, or nothing has a price.
        """
        lines = sorted(self._lines.values(), key=lambda one: (one.plan, -(one.usd_was or 0), one.model, one.as_model))
        if not self._calls:
            like = f" of a model like {_listed(one.pattern for one in self._rules)}" if self._rules else ""
            what = f"No call{like} was recorded in that time"
            raise NoAnswer(what=what, cure="give another --model, --since or --until")
        if lines and all(one.usd_would is None for one in lines):
            what = f"None of these calls has a price then ({notes.told(dict(self._lacking))})"
            raise NoAnswer(what=what, cure="ask for another model or tier, or write prices into prices.toml")
        return WhatIf(
            calls=self._calls,
            lines=tuple(lines),
            totals=tuple(_total(lines, plan=plan) for plan in (False, True) if any(one.plan == plan for one in lines)),
            left_out=dict(self._left_out.most_common()),
            not_billed=self._not_billed,
            lacking=dict(self._lacking.most_common()),
            without_calls=tuple(one.pattern for one in self._rules if one.pattern in self._without_calls),
        )

    def _rule(self, pattern: str, model: str) -> _Rule:
        """Find the list of the model that is to answer.

        Raises:
            NoAnswer: there is none, or there are several; or its price on the tier is not known.
        """
        listed, _, name = model.partition(":")
        provider = price_list.provider_named(listed) if name else None
        always = provider is not None
        if provider is None:
            name = model
            providers = price_list.lists_with(name)
            if not providers and not self._own.names(name):
                cure = "look for its name with 'llm-metrics prices show', or write a price into prices.toml"
                raise NoAnswer(what=f"No price is known of {name!r}", cure=cure)
            if len(providers) > 1 and not self._own.names(name):
                lists = _listed(one.id for one in providers)
                what = f"{len(providers)} providers have prices of {name!r} ({lists})"
                raise NoAnswer(what=what, cure=f"write which one, as in '{pattern}={providers[0].id}:{name}'")
            provider = providers[0] if providers else None
        elif price_list.find(provider, (name,)) is None and not self._own.names(name):
            what = f"The list of prices has no model {name!r} of {provider.id}"
            raise NoAnswer(what=what, cure="leave the provider out, or look with 'llm-metrics prices show'")
        rule = _Rule(pattern, name, provider, always)
        if self._tier and provider is not None and self._note_of(rule) == notes.NO_TIER:
            what = f"The tier {self._tier!r} of {name!r} has no known price"
            raise NoAnswer(what=what, cure="ask for another one, or write its price into prices.toml")
        return rule

    def _note_of(self, rule: _Rule) -> str | None:
        """Price a made-up call of the model that is to answer, now, and return what its cost lacks."""
        moment = timestamps.now()
        if self._asked.at is not None:
            moment = self._asked.at + moment[_DAY:]
        call, whose = self._elsewhere(Call(moment, prompt_tokens=1, completion_tokens=0), rule)
        return cost_on(call, self._own, call.consumed({}), whose, Terms(self._tier or "")).note

    def _find_rule(self, *names: str | None) -> _Rule | None:
        return next((rule for rule in reversed(self._rules) if history.fits(rule.pattern, *names)), None)

    def _price(self, row: Row, call: Call, said: dict[str, object], consumed: Consumed, rule: _Rule | None) -> None:
        # Most calls of a day differ in their counts alone.
        kind = Call(
            timestamp=call.timestamp[:_DAY],
            provider=call.provider,
            host=call.host,
            endpoint=call.endpoint,
            model=call.model,
            response_model=call.response_model,
            service_tier=call.service_tier,
            region=call.region,
        )
        words = tuple((name, word) for name, word in said.items() if isinstance(word, str)) if said else ()
        then = self._then(kind, rule, words)
        moment = msgspec.structs.replace(then.call, timestamp=then.call.timestamp + call.timestamp[_DAY:])

        def cost(consumed: Consumed) -> Cost:
            return cost_on(moment, self._own, consumed, then.whose, then.terms)

        plain = consumed.without_cache() if self._asked.no_cache else consumed
        would = cost(plain)
        if would.note:
            self._lacking[would.note] += 1
        line = self._line(call, rule, _source(would, then.whose), plan=row.key[-1] == PLAN)
        line.count(consumed, row.before, would)
        if self._asked.no_cache and would.usd is not None:
            no_reads = consumed.without_cache(but_writes=True)
            as_it_is = would if consumed == plain else cost(consumed)
            writes = would if no_reads == plain else cost(no_reads)
            if as_it_is.usd is not None and writes.usd is not None:
                line.count_cache(writes.usd - as_it_is.usd, writes.usd - would.usd)

    def _work_out(self, call: Call, rule: _Rule | None, said: tuple[tuple[str, str], ...]) -> _Then:
        """Work out what is otherwise of a call, whose timestamp is a day; `said` are the words of its usage."""
        was = whose_prices(call, self._own)
        terms = terms_of(call, dict(said), was.provider.id if was.provider else "")
        then = msgspec.structs.replace(call, timestamp=self._asked.at or call.timestamp)
        if rule is None:
            whose = whose_prices(then, self._own)
        else:
            then, whose = self._other(then, rule)
        if whose.provider is not was.provider:
            terms = Terms(terms.tier)
        return _Then(then, whose, terms if self._tier is None else terms._replace(tier=self._tier))

    def _other(self, call: Call, rule: _Rule) -> tuple[Call, Whose]:
        """Return the call as one of the rule's model, and whose prices hold."""
        there = msgspec.structs.replace(call, model=rule.model, response_model=None)
        whose = whose_prices(there, self._own)
        listed = whose.provider is not None and price_list.find(whose.provider, whose.names)
        if not rule.always and (listed or self._own.find(whose.names, call.provider, call.timestamp)):
            return there, whose
        return self._elsewhere(there, rule)

    def _elsewhere(self, call: Call, rule: _Rule) -> tuple[Call, Whose]:
        provider = rule.provider and price_list.column_name_of(rule.provider)
        there = msgspec.structs.replace(call, provider=provider, host=None, endpoint=None, model=rule.model)
        return there, Whose((rule.model,), rule.provider)

    def _line(self, call: Call, rule: _Rule | None, prices_of: str, *, plan: bool) -> Line:
        name = call.model or call.response_model or ""
        key = (name, rule.model if rule else name, prices_of, plan)
        if key not in self._lines and len(self._lines) >= _MOST_NAMED:
            key = (OTHERS, rule.model if rule else OTHERS, prices_of, plan)
        return self._lines.setdefault(key, Line(*key))


def _source(cost: Cost, whose: Whose) -> str:
    if cost.source == OWN:
        return OWN
    return whose.provider.id if whose.provider else ""


def _total(lines: list[Line], *, plan: bool) -> Line:
    total = Line("", "", "", plan)
    for line in lines:
        if line.plan == plan:
            total.add(line)
    return total


def _sum(known: int | None, count: float | None) -> int | None:
    return known if count is None else (known or 0) + round(count)


def _listed(names: Iterable[str]) -> str:
    """Return names for people, as many as they read."""
    found = list(names)
    return ", ".join(found[:_MOST_LISTED]) + (", ..." if len(found) > _MOST_LISTED else "")
