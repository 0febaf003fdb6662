"""Runs the micro-benchmarks in a process of their own, and gives their figures."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from tests.support.proxy import ROOT, clean_environment
from tests.trials.bench.measure import Figures

_PLUGIN = "pytest_benchmark.plugin"


def missing() -> str | None:
    """Return why they cannot run; None if they can."""
    return None if importlib.util.find_spec("pytest_benchmark") else "pytest-benchmark is not installed"


def micro(folder: Path, select: str = "") -> tuple[Figures, str]:
    """Run them and return their figures and what pytest printed; `select` is what its -k takes."""
    results = folder / "micro.json"
    # An entry point would load the plugin a second time.
    environment = clean_environment(folder) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": _paths()}
    # Large bodies get fresh pages, as in a proxy that seldom sees one: most of what they cost is the first touch.
    environment["MALLOC_MMAP_THRESHOLD_"] = "131072"
    command = [sys.executable, "-m", "pytest", "-q", "-p", _PLUGIN, "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    command += ["--override-ini=timeout=600", f"--basetemp={folder / 'micro'}", f"--benchmark-json={results}"]
    command += ["--override-ini=python_files=*.py", "-k", select, str(Path(__file__).parent / "micro")]
    ran = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    figures: Figures = {}
    if ran.returncode == 0:
        for benchmark in json.loads(results.read_text())["benchmarks"]:
            info = benchmark["extra_info"]
            figures |= info.get("figures", {})
            if "figure" in info:
                figures[info["figure"]] = benchmark["stats"]["median"] / info["per"] / info["unit"]
    return figures, ran.stdout + ran.stderr if ran.returncode else ""


def _paths() -> str:
    """Return where this process finds packages, for the one that it starts."""
    return ":".join(path for path in sys.path if path)
