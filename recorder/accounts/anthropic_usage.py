"""Anthropic's usage and cost reports: GET /v1/organizations/usage_report/messages and /cost_report, and analytics'.

https://platform.claude.com/docs/en/manage-claude/usage-cost-api. Amounts are texts in cents. What is left out of
`group_by[]` is null. The newer /v1/organizations/analytics/usage and /cost have one item for each group and bucket.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.recorder.accounts.exported import COST, USAGE, Export, Exported, dollars, seconds
from llm_metrics_proxy.recorder.accounts.logged import added, count, text

PROVIDER: Final = "anthropic"


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: Any = None
    ephemeral_5m_input_tokens: Any = None


class _Result(msgspec.Struct):
    """Usage or cost; in analytics the two stand beside the group."""

    uncached_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation: _CacheCreation | None = None
    output_tokens: Any = None
    requests: Any = None
    amount: Any = None
    list_amount: Any = None
    currency: Any = None
    model: Any = None
    api_key_id: Any = None
    service_tier: Any = None
    workspace_id: Any = None
    context_window: Any = None
    inference_geo: Any = None
    speed: Any = None
    description: Any = None
    cost_type: Any = None
    token_type: Any = None
    account_id: Any = None
    service_account_id: Any = None
    product: Any = None
    user_id: Any = None
    actor: Any = None
    organization_id: Any = None
    rbac_group_id: Any = None
    session_id: Any = None
    agent_id: Any = None

    @property
    def dimensions(self) -> tuple[object, ...]:
        """All but the figures."""
        return tuple(getattr(self, name) for name in self.__struct_fields__[8:])


class _Bucket(msgspec.Struct):
    starting_at: str
    ending_at: str
    results: list[_Result] | None = None
    group: _Result | None = None
    usage: _Result | None = None
    cost: _Result | None = None

    def found(self) -> list[tuple[_Result, _Result]]:
        """The figures, each with its group."""
        beside = [(one, self.group or _Result()) for one in (self.usage, self.cost) if one is not None]
        return [*((one, one) for one in self.results or ()), *beside]


class _Page(msgspec.Struct):
    """A page."""

    data: list[_Bucket]
    has_more: Any = False


_decode = msgspec.json.Decoder(_Page).decode


def read(raw: bytes, export: Export) -> None:
    """Add the lines of a page.

    Raises:
        msgspec.ValidationError: it is no such page.
        Unreadable: another currency.
    """
    page = _decode(raw)
    export.has_more = page.has_more is True
    times, lines = set(), []
    for bucket in page.data:
        since, until = seconds(bucket.starting_at), seconds(bucket.ending_at)
        if since is None or until is None or since >= until:
            continue
        times.add((since, until))
        for figures, group in bucket.found():
            lines.append(_line(figures, group, since, until))
    export.take(PROVIDER, lines, times)


def _line(figures: _Result, group: _Result, since: float, until: float) -> Exported:
    is_cost = figures.amount is not None
    kind = COST if is_cost else USAGE
    created = figures.cache_creation or _CacheCreation()
    return Exported(
        provider=PROVIDER,
        kind=kind,
        since=since,
        until=until,
        identity=tuple(map(str, (kind, since, until, *group.dimensions))),
        model=text(group.model),
        key=text(group.api_key_id),
        is_batch=group.service_tier == "batch",
        calls=count(figures.requests),
        input_tokens=added(
            count(figures.uncached_input_tokens),
            count(figures.cache_read_input_tokens),
            count(created.ephemeral_1h_input_tokens),
            count(created.ephemeral_5m_input_tokens),
        ),
        output_tokens=count(figures.output_tokens),
        usd=dollars(figures.amount, figures.currency, cents=True),
        list_usd=dollars(figures.list_amount, figures.currency, cents=True),
    )
