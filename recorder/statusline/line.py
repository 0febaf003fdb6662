"""The line: figures as a few words each, in the places of a format."""

from llm_metrics_proxy.recorder.statusline.asked import DEFAULT_FORMAT, PLACES
from llm_metrics_proxy.recorder.statusline.figures import Costs, Figures

_UNKNOWN = "-"
_THOUSAND = 1_000


def line(figures: Figures, form: str | None) -> str:
    """The figures in the format's places; without a format, those that are known with a dot between."""
    texts = _texts(figures)
    if form is None:
        pieces = DEFAULT_FORMAT.split(" · ")
        known = [name for piece in pieces if texts[name := piece.strip("{}")]]
        return " · ".join(texts[name] for name in known)
    for place in PLACES:
        form = form.replace(f"{{{place}}}", texts[place] or _UNKNOWN)
    return form


def as_data(figures: Figures) -> dict[str, object]:
    """The same as a JSON document has it."""
    return {
        "session_id": figures.session_id,
        **{name: _data(getattr(figures, name)) for name in ("session", "day", "month")},
        "windows": [{"name": name, "used": used, "resets_at": resets} for name, used, resets in figures.windows],
    }


def _texts(figures: Figures) -> dict[str, str]:
    session = figures.session
    spent = {"session": session, "day": figures.day, "month": figures.month}
    words = {"session": "session", "day": "today", "month": "this month"}
    texts = {name: f"{_money(costs)} {words[name]}" if costs else "" for name, costs in spent.items()}
    if session and not session.calls:  # it may pass the proxy by, which is no sum of 0
        texts["session"] = f"{_UNKNOWN} session"
    prompt, _, completion = session.tokens if session else (None, None, None)
    return texts | {
        "plan": " · ".join(_window(*one) for one in figures.windows),
        "tokens": f"{_count(prompt)} in, {_count(completion)} out" if session else "",
        "calls": f"{session.calls:,}" if session else "",
    }


def _money(costs: Costs) -> str:
    """The billed cost, and the cost that the calls of a plan would have had; `+` says that it is at least so much."""
    unknown = "$…" if costs.is_to_come else "$?"
    plan = f"plan {_dollars(costs.plan_usd, unknown, is_lower_bound=costs.is_plan_lower_bound)}"
    has_plan = costs.plan_usd is not None or costs.is_plan_lower_bound
    if costs.usd is None and not costs.is_lower_bound:
        return plan if has_plan else "$0.00"
    billed = _dollars(costs.usd, unknown, is_lower_bound=costs.is_lower_bound)
    return f"{billed} + {plan}" if has_plan else billed


def _dollars(usd: float | None, unknown: str, *, is_lower_bound: bool) -> str:
    if usd is None:
        return unknown
    return f"${usd:,.{2 if usd >= 1 or not usd else 3}f}{'+' * is_lower_bound}"


def _count(tokens: int | None) -> str:
    if tokens is None:
        return "?"
    return str(tokens) if tokens < _THOUSAND else f"{tokens / _THOUSAND:,.0f}k"


def _window(name: str, used: float | None, resets: str | None) -> str:
    share = "?" if used is None else f"{used:.0%}"
    return f"{name} {share}{f' until {resets}' if resets else ''}"


def _data(costs: Costs | None) -> dict[str, object] | None:
    if costs is None:
        return None
    names = ("prompt_tokens", "cached_tokens", "completion_tokens")
    return {
        "calls": costs.calls,
        "cost_usd": costs.usd,
        "is_lower_bound": costs.is_lower_bound,
        "plan_cost_usd": costs.plan_usd,
        "is_plan_lower_bound": costs.is_plan_lower_bound,
        **dict(zip(names, costs.tokens, strict=False)),
    }
