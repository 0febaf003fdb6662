"""One host: a proxy with a database of its own, and the exporter that follows it."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from tests.support.proxy import Proxy, clean_environment
from tests.support.traffic.users import Traffic

_COMMAND = (sys.executable, "-c", "from llm_metrics_proxy.recorder.commands.cli import main; main()")


class Sidecar:
    """A host of the fleet; `traffic` are the calls of its clients."""

    def __init__(self, name: str, folder: Path, proxy: Proxy, traffic: Traffic, dsn: str) -> None:
        self.name = name
        self.traffic = traffic
        self.kills = 0
        self._folder, self._proxy, self._dsn = folder, proxy, dsn
        self._exporter: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        """The database of its rows."""
        return self._proxy.database

    def follow(self) -> None:
        """Start the exporter, unless it runs."""
        if self._exporter is None or self._exporter.poll() is not None:
            with self._log.open("ab") as log:
                self._exporter = subprocess.Popen(self._exporting("--follow"), stdout=log, stderr=log, env=self._env)

    def kill(self) -> None:
        """End the exporter as a power cut would."""
        if self._exporter is not None and self._exporter.poll() is None:
            self._exporter.kill()
            self._exporter.wait()
            self.kills += 1

    def end(self) -> int:
        """Ask the exporter to end; its exit code."""
        if self._exporter is None:
            return 0
        self._exporter.terminate()
        return self._exporter.wait(30)

    async def send_the_rest(self) -> int:
        """Export what is left; the exit code."""
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*self._exporting(), stdout=log, stderr=log, env=self._env)
            return await process.wait()

    async def change_prices(self, numbers: random.Random) -> None:
        """Have all calls cost something else."""
        prices = self._folder / "prices.toml"
        cost = numbers.randint(1, 99)
        prices.write_text(f'[[price]]\nmodel = "*"\ninput = {cost}\noutput = {cost}\n')
        command = (*_COMMAND, "recost", "--db", self.database, "--prices", prices)
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=self._env)
            await process.wait()

    @property
    def _log(self) -> Path:
        return self._folder / "export.log"

    @property
    def _env(self) -> dict[str, str]:
        return clean_environment(self._folder) | {"LLM_METRICS_POSTGRES": self._dsn}

    def _exporting(self, *more: str) -> list[str]:
        return [*_COMMAND, "export", "postgres", "--db", str(self.database), "--host-id", self.name, *more]
