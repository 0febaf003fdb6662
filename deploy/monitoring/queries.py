"""The queries, as data. In all of them WINDOW stands for how far back a rate looks, and WHERE for a choice of series.

The dashboard puts Grafana's variables there, an alert its own time and nothing else, so both say the same.
"""

from typing import Final

# What ends without the provider's or the network's fault is no error: the client left, or the proxy was ended.
_NO_ERROR: Final = "success|client_disconnect|proxy_shutdown"


def _rate(by: str, name: str, where: str = "") -> str:
    return f"sum by ({by}) (rate({name}{{WHERE{where}}}[WINDOW]))"


def _quantile(share: float, by: str, name: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'le, {by}', f'{name}_bucket')})"


CALLS: Final = _rate("provider", "llm_calls_total")
CALLS_BY_OUTCOME: Final = _rate("outcome", "llm_calls_total")
CALLS_IN_WINDOW: Final = "sum by (provider) (increase(llm_calls_total{WHERE}[WINDOW]))"
ERRORS_BY_CLASS: Final = _rate("error_class", "llm_errors_total")
ERROR_SHARE: Final = f"""{_rate("provider", "llm_calls_total", f', outcome!~"{_NO_ERROR}"')} / {CALLS}"""

DURATION_P50: Final = _quantile(0.5, "model", "llm_call_duration_seconds")
DURATION_P95: Final = _quantile(0.95, "model", "llm_call_duration_seconds")
FIRST_TOKEN_P50: Final = _quantile(0.5, "model", "llm_time_to_first_token_seconds")
FIRST_TOKEN_P95: Final = _quantile(0.95, "model", "llm_time_to_first_token_seconds")
FIRST_TOKENS_IN_WINDOW: Final = "sum by (model) (increase(llm_time_to_first_token_seconds_count{WHERE}[WINDOW]))"
DECODE_P50: Final = _quantile(0.5, "model", "llm_decode_tokens_per_second")
DURATION_HEAT: Final = _rate("le", "llm_call_duration_seconds_bucket")

TOKENS: Final = _rate("type", "llm_tokens_total")
CACHED_SHARE: Final = (
    f"""{_rate("provider", "llm_tokens_total", ', type="cached"')} / """
    f"""{_rate("provider", "llm_tokens_total", ', type="input"')}"""
)
COST_AN_HOUR: Final = f"{_rate('model', 'llm_cost_dollars_total')} * 3600"
COST_IN_WINDOW: Final = "sum(increase(llm_cost_dollars_total{WHERE}[WINDOW]))"
WITHOUT_COST: Final = f"{_rate('model', 'llm_calls_without_cost_total')} * 3600"

UP: Final = 'min by (instance) (up{job=~"llm-metrics.*"})'
DATABASE_UP: Final = "llm_metrics_database_up"
RECORDERS: Final = "llm_metrics_recorders"
RECEIVED_IN_WINDOW: Final = "increase(llm_metrics_events_received_total[WINDOW])"
DROPPED_IN_WINDOW: Final = "sum by (instance, cause) (increase(llm_metrics_events_dropped_total[WINDOW]))"
UNPARSED_IN_WINDOW: Final = "sum by (instance) (increase(llm_metrics_calls_unparsed_total[WINDOW]))"
UNRECOGNISED_IN_WINDOW: Final = "sum by (instance) (increase(llm_metrics_events_unrecognised_total[WINDOW]))"
SPILLED: Final = "llm_metrics_spill_size_bytes"
WAITING: Final = "llm_metrics_events_waiting"
NEWEST_AGE: Final = "time() - llm_metrics_newest_call_timestamp_seconds"
DATABASE_SIZE: Final = "llm_metrics_database_size_bytes"
WAL_SIZE: Final = "llm_metrics_wal_size_bytes"
DISK_FREE: Final = "llm_metrics_disk_free_bytes"
COUNTED: Final = "llm_metrics_counted_ratio"
EXPORTER_WAITING: Final = "llm_metrics_exporter_rows_waiting"
EXPORTER_FAILING: Final = "llm_metrics_exporter_failing"
EXPORTER_SENT: Final = "rate(llm_metrics_exporter_rows_sent_total[WINDOW])"


def filled(query: str, window: str, where: str = "") -> str:
    """The query for Prometheus; `where` are matchers without braces, such as `provider="openai"`."""
    text = query.replace("WINDOW", window).replace("WHERE, ", f"{where}, " if where else "")
    return text.replace("{WHERE}", f"{{{where}}}" if where else "")
