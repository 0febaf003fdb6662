"""The script for `mitmdump -s addon/main.py`.

Nothing else belongs here: mitmproxy watches this file and loads the addon anew when it changes.
"""

import sys

try:
    from llm_metrics_proxy.addon.capture import LLMMetrics
except ModuleNotFoundError as error:
    if error.name != "fcntl":
        raise
    sys.exit("llm-metrics: Windows has not what this needs (fcntl): run it inside WSL.")  # mitmproxy would go on

addons = [LLMMetrics()]
