"""The layers by name, for those who do not know mitmproxy."""

from typing import Final

DISPATCH: Final = "dispatch"
WRITES: Final = "writes"
LAYERS: Final = (DISPATCH, WRITES)
"""All that proved themselves: what `auto` switches on."""
