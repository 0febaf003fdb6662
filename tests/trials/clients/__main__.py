"""Try clients: `python -m tests.trials.clients [--minimal] [--newest] [--readme] [openai curl ...]`.

Each program runs in an environment of its own (in .clients/) through a real mitmdump to a local provider, with the
variables of the catalogue and no others, and the rows of its calls are compared with what is true. Exit code 1 if
anything is not as the catalogue says.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tests.trials.clients import environments
from tests.trials.clients.catalogue import CLIENTS
from tests.trials.clients.client import Client
from tests.trials.clients.minimal import Finding, findings
from tests.trials.clients.result import Result, table, write_page
from tests.trials.clients.stage import Stage
from tests.trials.clients.trial import Attempts

_INSTALLERS = 2  # at the same time


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.clients", description="Try clients through the proxy."
    )
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help="default: all")
    parser.add_argument("--minimal", action="store_true", help="also leave out each variable, one after the other")
    parser.add_argument("--newest", action="store_true", help="make the environments anew, with the newest versions")
    parser.add_argument(
        "--readme", action="store_true", help="write the table of docs/clients.md anew; for all clients"
    )
    wanted = parser.parse_args()
    known = {client.id for client in CLIENTS}
    if unknown := [name for name in wanted.clients if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(client.id for client in CLIENTS)}")
    if wanted.readme and (wanted.clients or not wanted.minimal):
        parser.error("--readme is for a run with --minimal of all clients, or the page would name what was not tried")
    chosen = [client for client in CLIENTS if not wanted.clients or client.id in wanted.clients]
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clients-") as folder, Stage(Path(folder)) as stage:
        try:
            results = list(_try(chosen, stage, minimal=wanted.minimal, newest=wanted.newest))
        except KeyboardInterrupt:
            print("\ninterrupted", flush=True)
            return 1
    print(f"\n{table(results)}\n{len(results)} clients in {time.monotonic() - began:.0f} s")
    if wanted.readme:
        write_page(results)
    return 1 if any(result.wrong for result in results) else 0


def _try(chosen: Iterable[Client], stage: Stage, *, minimal: bool, newest: bool) -> Iterator[Result]:
    """Try each client as soon as its environment is made."""
    with ThreadPoolExecutor(_INSTALLERS) as pool:
        makes = {client.environment: client for client in chosen}
        made = {name: pool.submit(environments.make, client, newest=newest) for name, client in makes.items()}
        try:
            for client in chosen:
                yield _try_one(client, made[client.environment], stage, minimal=minimal)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _try_one(client: Client, made: Future[None], stage: Stage, *, minimal: bool) -> Result:
    print(f"{client.id:22} ", end="", flush=True)
    try:
        made.result()
    except environments.NotInstalledError as error:
        print(f"not tried: {error}", flush=True)
        return Result(client, not_tried=str(error))
    result = Result(client, environments.versions(client))
    values = stage.values(client.mode)
    attempts = Attempts(client, environments.command(client), stage.rig(client.mode), stage.folder)
    chosen = client.variables if client.passes else values
    result.trial = attempts.run({name: values[name] for name in chosen}, client.agent)
    _tell(result)
    if minimal:
        for finding in findings(client, values, attempts):
            result.findings.append(finding)
            _tell_more(finding)
    return result


def _tell(result: Result) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    trial = result.trial
    outcome = "goes past the proxy" if not result.client.passes else f"recorded, {trial.rows if trial else 0} rows"
    print(f"{versions}: {'; '.join(result.wrong) or outcome}", flush=True)
    if trial and trial.last_words and (result.wrong or not result.client.passes):
        print(f"{'':22} it says: {trial.last_words}", flush=True)


def _tell_more(finding: Finding) -> None:
    print(f"{'':22} {'' if finding.as_expected else 'UNEXPECTED: '}{finding.what}: {finding.outcome}", flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
