"""OpenAI's organization usage and costs: pages of GET /v1/organization/usage/* and /v1/organization/costs.

https://platform.openai.com/docs/api-reference/usage. Each kind of usage has a page of its own; costs have amounts in
dollars, and name a model within `line_item` if they were grouped by it: `gpt-4o-2024-08-06, input`.
"""

from typing import Any, Final, Literal

import msgspec

from llm_metrics_proxy.recorder.accounts.exported import COST, USAGE, Export, Exported, dollars, seconds
from llm_metrics_proxy.recorder.accounts.logged import count, text

PROVIDER: Final = "openai"
_PREFIX: Final = "organization."
_COSTS: Final = "organization.costs.result"


class _Amount(msgspec.Struct):
    value: Any = None
    currency: Any = None


class _Result(msgspec.Struct):
    object: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    num_model_requests: Any = None
    model: Any = None
    api_key_id: Any = None
    batch: Any = None
    service_tier: Any = None
    amount: _Amount | None = None
    line_item: Any = None
    project_id: Any = None
    user_id: Any = None
    api_source: Any = None
    size: Any = None
    source: Any = None


class _Bucket(msgspec.Struct):
    start_time: Any
    end_time: Any
    results: list[_Result]


class _Page(msgspec.Struct):
    """A page."""

    object: Literal["page"]
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
        since, until = seconds(bucket.start_time), seconds(bucket.end_time)
        if since is None or until is None or since >= until:
            continue
        times.add((since, until))
        lines += [line for result in bucket.results if (line := _line(result, since, until))]
    export.take(PROVIDER, lines, times)


def _line(result: _Result, since: float, until: float) -> Exported | None:
    name = text(result.object)
    if name is None or not name.startswith(_PREFIX):
        return None
    dimensions = (result.model, result.api_key_id, result.batch, result.service_tier, result.line_item)
    identity = (
        name,
        since,
        until,
        *dimensions,
        result.project_id,
        result.user_id,
        result.api_source,
        result.size,
        result.source,
    )
    if name == _COSTS:
        amount = result.amount or _Amount()
        item = text(result.line_item)
        return Exported(
            provider=PROVIDER,
            kind=COST,
            since=since,
            until=until,
            identity=tuple(map(str, identity)),
            model=item.partition(", ")[0] if item and ", " in item else None,
            key=text(result.api_key_id),
            usd=dollars(amount.value, amount.currency),
        )
    if count(result.num_model_requests) is None:
        return None
    return Exported(
        provider=PROVIDER,
        kind=f"{USAGE}.{name.removeprefix('organization.usage.').removesuffix('.result')}",
        since=since,
        until=until,
        identity=tuple(map(str, identity)),
        model=text(result.model),
        key=text(result.api_key_id),
        is_batch=result.batch is True or result.service_tier == "batch",
        calls=count(result.num_model_requests),
        input_tokens=count(result.input_tokens),
        output_tokens=count(result.output_tokens),
    )
