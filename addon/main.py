"""The script for `mitmdump -s addon/main.py`.

Nothing else belongs here: mitmproxy watches this file and loads the addon anew when it changes.
"""

import sys

_CURES = {
    "fcntl": "Windows has not what this needs (fcntl): run it inside WSL.",
    "llm_metrics_proxy": "Its package is not installed for this mitmdump: run .venv/bin/mitmdump after make setup.",
}
try:
    from llm_metrics_proxy.addon.capture import LLMMetrics
except ModuleNotFoundError as error:
    if error.name not in _CURES:
        raise
    sys.exit(f"llm-metrics: {_CURES[error.name]}")  # mitmproxy would go on

addons = [LLMMetrics()]
