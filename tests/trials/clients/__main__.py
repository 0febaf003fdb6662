"""Try clients: `python -m tests.trials.clients [--minimal] [--newest] [--readme] [openai curl claude-code ...]`.

Each program runs in an environment of its own (in .clients/) through a real mitmdump to a local provider, with the
variables of the catalogue and no others, and the rows of its calls are compared with what is true. Agents run a
command, are interrupted in the middle of an answer, and compact their conversation. Exit code 1 if anything is not as
the catalogue says.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from llm_metrics_proxy.recorder.reporting import printable
from tests.trials.clients import environments
from tests.trials.clients.agents import result as agents_result
from tests.trials.clients.agents.agent import Agent
from tests.trials.clients.agents.catalogue import AGENTS
from tests.trials.clients.agents.result import AgentResult
from tests.trials.clients.catalogue import CLIENTS
from tests.trials.clients.client import Client, Installed
from tests.trials.clients.minimal import Finding, findings
from tests.trials.clients.result import PAGE, Result, table
from tests.trials.clients.stage import Stage
from tests.trials.clients.trial import Attempts

_INSTALLERS = 2  # at the same time


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.trials.clients", description="Try clients through the proxy."
    )
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help="or `sdks`, or `agents`; default: all")
    parser.add_argument("--minimal", action="store_true", help="also leave out each variable, one after the other")
    parser.add_argument("--newest", action="store_true", help="make the environments anew, with the newest versions")
    parser.add_argument("--readme", action="store_true", help="write the tables of docs/clients.md anew")
    wanted = parser.parse_args()
    groups = {"sdks": [client.id for client in CLIENTS], "agents": [agent.id for agent in AGENTS]}
    known = {name for group in groups.values() for name in group}
    names = {name for word in wanted.clients or groups for name in groups.get(word, [word])}
    if unknown := [name for name in wanted.clients if name not in known | groups.keys()]:
        listed = [*groups, *groups["sdks"], *groups["agents"]]
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(listed)}")
    if wanted.readme and not (wanted.minimal and any(names >= set(group) for group in groups.values())):
        parser.error("--readme is for a run with --minimal of all SDKs or all agents, or a table would lack some")
    clients = [client for client in CLIENTS if client.id in names]
    agents = [agent for agent in AGENTS if agent.id in names]
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="clients-") as folder, Stage(Path(folder)) as stage:
        try:
            results, of_agents = _try(clients, agents, stage, minimal=wanted.minimal, newest=wanted.newest)
        except KeyboardInterrupt:
            print("\ninterrupted", flush=True)
            return 1
    tables = [table(results)] * bool(results) + [agents_result.table(of_agents)] * bool(of_agents)
    print("\n" + "\n".join(tables))
    print(f"{len(results)} clients and {len(of_agents)} agents in {time.monotonic() - began:.0f} s")
    if wanted.readme and len(results) == len(CLIENTS):
        PAGE.write(table(results))
    if wanted.readme and len(of_agents) == len(AGENTS):
        agents_result.PAGE.write(agents_result.table(of_agents))
    return 1 if any(one.wrong for one in results) or any(one.wrong for one in of_agents) else 0


def _try(
    clients: Iterable[Client], agents: Iterable[Agent], stage: Stage, *, minimal: bool, newest: bool
) -> tuple[list[Result], list[AgentResult]]:
    """Try each as soon as its environment is made."""
    with ThreadPoolExecutor(_INSTALLERS) as pool:
        makes: dict[str, Installed] = {one.environment: one for one in (*clients, *agents)}
        made = {name: pool.submit(environments.make, one, newest=newest) for name, one in makes.items()}
        try:
            results = [_try_one(client, made[client.environment], stage, minimal=minimal) for client in clients]
            return results, [_try_agent(agent, made[agent.environment], stage, minimal=minimal) for agent in agents]
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


def _try_agent(agent: Agent, made: Future[None], stage: Stage, *, minimal: bool) -> AgentResult:
    print(f"{agent.id:22} ", end="", flush=True)
    try:
        made.result()
    except environments.NotInstalledError as error:
        print(f"not tried: {error}", flush=True)
        return AgentResult(agent, not_tried=str(error))
    result = AgentResult(agent)
    for result, run in agents_result.tried(agent, stage, minimal=minimal):
        outcome = result.outcomes[run]
        if len(result.outcomes) == 1:
            print(", ".join(f"{name} {version}" for name, version in result.versions.items()), flush=True)
        print(f"{'':22} {run}: {'; '.join(outcome.problems) or f'{outcome.calls} calls, all recorded'}", flush=True)
        if outcome.problems:
            print(f"{'':22} it says: {printable(outcome.last_words)}", flush=True)
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
