"""The script for `mitmdump -s addon/main.py`.

Nothing else belongs here: mitmproxy watches this file and loads the addon anew when it changes.
"""

from llm_metrics_proxy.addon.capture import LLMMetrics

addons = [LLMMetrics()]
