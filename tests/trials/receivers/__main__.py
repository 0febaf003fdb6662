"""Try receivers of OTLP: `python -m tests.trials.receivers [phoenix rotel] [--picture FILE]`.

Each is installed in an environment of its own (in .receivers/). A traced client asks a local provider through a real
mitmdump; its spans and ours go to the receiver, which then tells what it has. Exit code 1 if that is not one trace, or
anything else is wrong.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.rig import started
from tests.trials.receivers import phoenix, rotel
from tests.trials.receivers.environments import NotInstalledError
from tests.trials.receivers.server import NotStartedError

_RECEIVERS = {"phoenix": phoenix, "rotel": rotel}


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.trials.receivers", description="Try receivers of OTLP.")
    parser.add_argument("receivers", nargs="*", metavar="RECEIVER", help="default: all")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw Phoenix's page of the trace (needs Chromium)"
    )
    wanted = parser.parse_args()
    if unknown := [name for name in wanted.receivers if name not in _RECEIVERS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(_RECEIVERS)}")
    failed = False
    for name in wanted.receivers or _RECEIVERS:
        began = time.monotonic()
        receiver = _RECEIVERS[name]
        with tempfile.TemporaryDirectory(prefix="receivers-") as folder:
            place, proxy = Path(folder, name), Path(folder, "proxy")
            place.mkdir()
            proxy.mkdir()
            try:
                with started(proxy) as rig:
                    found = list(receiver.problems(rig, place, wanted.picture and wanted.picture.absolute()))
            except (NotInstalledError, NotStartedError) as error:
                found = [str(error)]
        failed = failed or bool(found)
        outcome = "; ".join(found) or "spans of client and proxy are one trace, and all is there"
        print(f"{name} ({receiver.PACKAGE}): {outcome} [{time.monotonic() - began:.0f} s]", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
