"""The layers by name, for those who do not know mitmproxy."""

from typing import Final

DISPATCH: Final = "dispatch"
WRITES: Final = "writes"
BYPASS: Final = "bypass"
MESSAGES: Final = "messages"
LAYERS: Final = (DISPATCH, WRITES, BYPASS, MESSAGES)
"""All that proved themselves: what `auto` switches on."""
PASSES_ON: Final = "passes_on"
"""A `stream` callable that has this attribute, true, returns what it is given, and may get several chunks as one."""
