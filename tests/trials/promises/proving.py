"""Running the tests that prove promises, and breaking each promise once to see that its proof fails."""

import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.trials.promises.catalogue import Change, Promise, proving_tests
from tests.trials.record import ROOT, Check, Record, Result, recorded

_PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
_FAILED = 1  # exit code of pytest, and of a trial, if something did not hold; others are faults of the call


def run_tests(promises: Sequence[Promise]) -> Record:
    """Run every test that is a proof, each with all of its parameters."""
    began = time.monotonic()
    names = proving_tests([proof for promise in promises for proof in promise.proofs])
    with tempfile.TemporaryDirectory(prefix="promises-") as folder:
        report = Path(folder) / "tests.xml"
        command = [*_PYTEST, "-n", "auto", "--dist", "loadfile", f"--junit-xml={report}", *names]
        ended = subprocess.run(command, cwd=ROOT, check=False)
        if not report.exists():
            sys.exit(f"pytest ended with {ended.returncode} and left no report: what it said stands above")
        found = _results(report)
    checks = [_check(name, found[name]) for name in names]
    files = Counter[str]()
    for check in checks:
        files[check.name.partition("::")[0]] += check.tries
    return recorded("tests", time.monotonic() - began, checks, files)


def _results(report: Path) -> dict[str, list[Result]]:
    """Return what came of each test, once for each set of parameters."""
    found = defaultdict[str, list[Result]](list)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        path = case.attrib["classname"].replace(".", "/")
        kinds = {child.tag for child in case}
        result: Result = "broken" if kinds & {"failure", "error"} else "blocked" if "skipped" in kinds else "kept"
        found[f"{path}.py::{case.attrib['name'].partition('[')[0]}"].append(result)
    return found


def _check(name: str, results: list[Result]) -> Check:
    if "broken" in results:
        return Check(name, "broken", len(results), f"{name.partition('::')[2]} failed")
    if kept := results.count("kept"):
        return Check(name, "kept", kept)
    return Check(name, "blocked", 0, "skipped" if results else "there is no such test")


def break_each(promises: Sequence[Promise], root: Path = ROOT) -> Record:
    """Make the change of each promise, look if its proof fails, and take the change back.

    The files in `root` are changed, since its environment leads there: do it in a worktree in which nobody works.
    """
    began, checks = time.monotonic(), list[Check]()
    for promise in promises:
        if promise.broken is not None:
            checks.append(_broken(promise.name, promise.broken, root))
            print(f"{checks[-1].result:8} {promise.name}: {promise.broken.by}: {checks[-1].found}", flush=True)
    return recorded("break", time.monotonic() - began, checks, {check.name: 1 for check in checks})


def _broken(name: str, change: Change, root: Path) -> Check:
    """Kept is what was noticed, blocked is a change that cannot be made any more."""
    path = root / change.file
    before = path.read_text()
    if before.count(change.old) != 1:
        return Check(name, "blocked", 0, f"{change.file} has these lines {before.count(change.old)} times")
    if "::" in change.seen or change.seen.startswith("tests/"):
        command = [*_PYTEST, "-n", "0", *change.seen.split(" ")]
    else:
        trial, *arguments = shlex.split(change.seen)
        command = [sys.executable, "-m", f"tests.trials.{trial}", *arguments]
    try:
        path.write_text(before.replace(change.old, change.new))
        code, said = _output(command, root)
    finally:
        path.write_text(before)
    return Check(name, "kept" if code == _FAILED else "broken", 1, said[-1] if said else f"exit code {code}")


def _output(command: Sequence[str], folder: Path) -> tuple[int, list[str]]:
    """Return the exit code and the lines that were printed; an interrupted proof ends what it has started."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            said, _ = process.communicate()
        except KeyboardInterrupt:
            process.terminate()
            raise
        return process.returncode, said.strip().splitlines()
