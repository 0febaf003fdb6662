"""`make test` runs with the oldest mitmproxy that is allowed, `make mitmproxy` with a newer one, and both are in CI."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _found(pattern: str, file: str) -> str:
    found = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert found, (pattern, file)
    return found[1]


def test_the_oldest_mitmproxy_that_is_allowed_is_the_one_that_tests_run_with() -> None:
    oldest = _found(r'"mitmproxy>=([\d.]+)"', "pyproject.toml")
    for file in ("requirements.txt", "requirements-dev.txt"):
        assert _found(r"^mitmproxy==([\d.]+)", file) == oldest


def test_a_newer_one_is_tried_too_and_the_fast_path_knows_both() -> None:
    oldest = _found(r'"mitmproxy>=([\d.]+)"', "pyproject.toml")
    newest = _found(r"^MITMPROXY \?= ([\d.]+)", "Makefile")
    assert [int(part) for part in newest.split(".")] > [int(part) for part in oldest.split(".")]
    assert _found(r"^(make mitmproxy)$", ".ci/run")
    for version in (oldest, newest):
        assert version in (ROOT / "docs" / "performance.md").read_text()
