"""`llm-metrics serve --prometheus`, from the first look at the database to the last saving of the totals.

keeper.py is the one thread that reads the database; counting.py adds rows to the totals (totals.py) and saves them;
facts.py reads the recorders' and exporters' state; families.py gives everything Prometheus' names; server.py
answers requests.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from llm_metrics_proxy.recorder.errors import CannotServe
from llm_metrics_proxy.recorder.export import alone
from llm_metrics_proxy.recorder.export.prometheus import server as addresses
from llm_metrics_proxy.recorder.export.prometheus.counting import NAME
from llm_metrics_proxy.recorder.export.prometheus.keeper import Keeper
from llm_metrics_proxy.recorder.export.prometheus.server import App, Server
from llm_metrics_proxy.recorder.store import identity
from llm_metrics_proxy.recorder.store.database import reader

_NICENESS: Final = 10  # the proxy and its clients come first
_OPEN = "Anybody who reaches {url} reads which models are called and what that costs: give 127.0.0.1 to keep them out."


def serve(
    path: Path, text: str, names: Sequence[str] = (), *, tell: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve the figures of the database at `path` at the address `text`, until SIGTERM or SIGINT.

    `names` are those of calls' labels that are counted, too. `tell` hears where, `warn` of what somebody should think
    about.

    Raises:
        CannotServe: the address is none, or in use, or another process serves this database already.
        DatabaseRefused: there is no database of the present version; one that is replaced later is waited for.
    """
    wanted = addresses.parse_address(text)
    path = path.resolve()  # what belongs to it stands beside the real file
    with reader(path, look=identity.version_of):
        pass
    with alone(path, NAME) as only_one:
        if not only_one:
            what = f"Another process serves the figures of {path} already"
            raise CannotServe(what=what, cure="ask that one, or end it")
        _serve(Keeper(path, names), wanted, tell, warn)


def _serve(keeper: Keeper, wanted: addresses.Address, tell: Callable[[str], None], warn: Callable[[str], None]) -> None:
    listening, got = addresses.listen(wanted)
    os.nice(_NICENESS)
    server = Server(listening, got, App(keeper.ask, is_for_this_machine=got.is_for_this_machine))
    ends = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ends.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        keeper.start()
        server.start()
        tell(f"{got.url}/metrics and {got.url}/healthz are served; Ctrl-C ends it.")
        if not got.is_for_this_machine:
            warn(_OPEN.format(url=got.url))
        ends.wait()
        keeper.stop()
        server.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
