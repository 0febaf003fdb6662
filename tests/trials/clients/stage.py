"""The proxies before the local provider, one for each mode that clients need, and the variables that lead to them."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.support.rig import Rig, started


class Stage:
    """A context manager; everything lies below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._rigs: dict[str, Rig] = {}

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all proxies."""
        self._open.close()

    def rig(self, mode: str) -> Rig:
        """Return the proxy of this mode, which is started for its first client."""
        if mode not in self._rigs:
            place = self.folder / str(len(self._rigs))
            place.mkdir(parents=True)
            # A reverse proxy opens its connection before it looks at a request, and would take the address to which it
            # is redirected here for the provider's: so it has to open it later.
            options = [] if mode == "regular" else ["connection_strategy=lazy"]
            self._rigs[mode] = self._open.enter_context(started(place, mode=mode, options=options))
        return self._rigs[mode]

    def values(self, mode: str) -> dict[str, str]:
        """Return every variable that a client may need: those that the start has printed, and `http_proxy`."""
        proxy = self.rig(mode).proxy
        if mode != "regular":
            return {"OPENAI_BASE_URL": f"{proxy.url}/v1", "OLLAMA_HOST": proxy.url}
        exports = (line.partition("export ")[2] for line in proxy.log.splitlines() if line.startswith("  export "))
        printed = dict(shlex.split(line)[0].split("=", 1) for line in exports)
        return printed | {"http_proxy": printed["HTTP_PROXY"]}
