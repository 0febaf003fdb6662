"""The layers, switched on and off together. One that does not know this mitmproxy, or fails its proof, stays off."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from mitmproxy import addonmanager

from llm_metrics_proxy.addon.fastpath import bypass, dispatch, known, messages, proof, writes
from llm_metrics_proxy.addon.fastpath.names import BYPASS, DISPATCH, MESSAGES, WRITES

type _Remove = Callable[[], None]


class _Layer(NamedTuple):
    relies_on: known.Digests
    prove: Callable[[], None]
    install: Callable[[addonmanager.AddonManager], _Remove]


_ALL: Final[Mapping[str, _Layer]] = {
    DISPATCH: _Layer(known.DISPATCH, proof.prove_dispatch, dispatch.install),
    WRITES: _Layer(known.WRITES, proof.prove_writes, lambda _: writes.install()),
    BYPASS: _Layer(known.BYPASS, proof.prove_bypass, lambda _: bypass.install()),
    MESSAGES: _Layer(known.MESSAGES, proof.prove_messages, lambda _: messages.install()),
}


class FastPath:
    """What is switched on in this process."""

    def __init__(self) -> None:
        """Nothing is."""
        self._installed: dict[str, _Remove] = {}

    def switch_on(self, wanted: Iterable[str], manager: addonmanager.AddonManager) -> dict[str, str]:
        """Switch layers on; return why, of those that stay off."""
        refused = {}
        for name in wanted:
            layer = _ALL[name]
            try:
                known.check(layer.relies_on)
                if name == DISPATCH:
                    known.check_manager(manager)
                layer.prove()
            except Exception as error:  # noqa: BLE001 - whatever differs, mitmproxy goes on as it was
                said = str(error) if isinstance(error, known.UnknownMitmproxyError) else type(error).__name__
                refused[name] = said
        for name in wanted:  # now: what is installed is not as mitmproxy has it
            if name not in refused:
                self._installed[name] = _ALL[name].install(manager)
        return refused

    def switch_off(self) -> None:
        """Leave mitmproxy as it was."""
        while self._installed:
            _, remove = self._installed.popitem()
            remove()
