"""mitmdump and llm-metrics on another Python of this machine, one that is optimised."""

from pathlib import Path

from tests.support.proxy import ADDON, ROOT
from tests.trials.bench import build
from tests.trials.bench.peers.environment import NotHadError, venv
from tests.trials.bench.systems import OUR_ROWS, SCRIPTS, System

FLOOR, FLOOR_TITLE = "pgo-floor", "the same, optimised Python"
OURS, OURS_TITLE = "pgo-ours", "llm-metrics, optimised Python"


def prepared(name: str, given: Path | None = None) -> System:
    """Find a Python that is optimised, or take the one that is given, and return one of the two systems.

    Raises:
        NotHadError: there is none.
    """
    if given is None and build.is_optimised(build.own_build()):
        raise NotHadError("the Python of this run is optimised itself")
    found = build.asked(given) if given is not None else build.optimised()
    if found is None:
        raise NotHadError("this machine has no other Python that is optimised and new enough")
    if not found.optimised:
        raise NotHadError(f"Python {found.version} is {found.build}")
    place = venv("optimised", ["--require-hashes", "-r", "requirements.txt"], python=found.path)
    for packages in place.glob("lib/python*/site-packages"):
        (packages / "llm_metrics.pth").write_text(f"{ROOT / 'src'}\n")
    python = place / "bin" / "python"
    note = f"CPython {found.version}, {found.build}"
    if name == FLOOR:
        return System(FLOOR, FLOOR_TITLE, scripts=(SCRIPTS / "passthrough.py",), python=python, note=note)
    return System(OURS, OURS_TITLE, addon=ADDON, rows=OUR_ROWS, python=python, note=note)
