"""`llm-metrics run`: the command line of the proxy, alone or for one program.

proxy.py finds or starts the proxy that a program goes through, program.py runs that program as if it had been started
alone, summary.py tells what its calls came to. workers.py keeps several workers on one port: accepting.py deals clients
out to them, one_worker.py is one of them as the parent sees it, worker.py what runs in its process.
"""

import sys
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import llm_metrics_proxy
from llm_metrics_proxy.recorder.client_setup.authority import CA_NAME

INSIDE_A_RUN: Final = "LLM_METRICS_RUN"
"""The variable that a program finds in its environment when it was started by `llm-metrics run`."""

ADDON: Final = Path(llm_metrics_proxy.__file__).parent / "addon" / "main.py"

# Our defaults where they differ from mitmproxy's. flow_detail: it prints whole URLs, with the keys in them.
# termlog_verbosity: it prints a line for each connection; without warnings nobody would hear that a client does not
# trust the CA. tcp_timeout: it ends calls that think for ten minutes.
_DEFAULTS = {"flow_detail": "0", "termlog_verbosity": "warn", "tcp_timeout": "3600"}

_RUN = "from llm_metrics_proxy.recorder.commands.cli import main; main(prog_name='llm-metrics')"


@dataclass(frozen=True)
class CommandLine:
    """The proxy as it was asked for; `settings` are mitmproxy's options as `name=value`."""

    host: str
    port: int
    settings: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    database: Path | None = None

    def on(self, port: int) -> Self:
        """Return the same on another port."""
        return replace(self, port=port)

    @property
    def authority(self) -> Path:
        """The certificate of the proxy's CA: where it is, or will be."""
        folders = self._values("confdir") or ["~/.mitmproxy"]
        return Path(folders[-1]).expanduser().absolute() / CA_NAME

    @property
    def prices(self) -> Path | None:
        """The file of own prices, if one was named."""
        files = self._values("metrics_prices")
        return Path(files[-1]).expanduser().absolute() if files else None

    @property
    def words(self) -> list[str]:
        """The words that start mitmdump with the addon."""
        return [*_mitmdump(), *self.arguments]

    @property
    def arguments(self) -> list[str]:
        """These words without mitmdump."""
        # Beside -s, --set scripts=... would leave the addon out.
        scripts = [str(ADDON), *self._values("scripts")]
        settings = [f"{name}={value}" for name, value in _DEFAULTS.items() if not self._values(name)]
        settings += [setting for setting in self.settings if not setting.startswith("scripts=")]
        if self.database is not None:
            settings.append(f"metrics_db={self.database}")
        words = ["--listen-host", self.host, "--listen-port", str(self.port)]
        for option, values in (("--mode", self.modes), ("--set", settings), ("-s", scripts)):
            for value in values:
                words += [option, value]
        return words

    def with_workers(self, count: int, drain: float) -> list[str]:
        """Return the words that start the parent of several workers."""
        words = [sys.executable, "-P", "-c", _RUN, "run", "--workers", str(count), "--drain", str(drain)]
        words += ["--host", self.host, "--port", str(self.port)]
        for option, values in (
            ("--set", self.settings),
            ("--mode", self.modes),
            ("--db", [str(self.database)] if self.database is not None else []),
        ):
            for value in values:
                words += [option, value]
        return words

    def listens(self) -> bool:
        """Tell whether its port counts: modes that name their own (`@`) need none."""
        return not self.modes or not all("@" in mode for mode in self.modes)

    def _values(self, name: str) -> list[str]:
        pairs = (setting.partition("=") for setting in self.settings)
        return [value for found, _, value in pairs if found == name]


def _mitmdump() -> list[str]:
    """Mitmdump of the environment that this program is installed in, whatever the PATH says."""
    script = Path(sysconfig.get_path("scripts")) / "mitmdump"
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()"]
