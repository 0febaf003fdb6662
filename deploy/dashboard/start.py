# /// script
# requires-python = ">=3.13"
# dependencies = ["datasette==0.65.5", "datasette-dashboards==0.8.0"]
# ///
"""The live page as a script: `uv run --script` and `pipx run` make the environment that the lines above ask for.

In that environment nothing of the recorder's is installed, and nothing of it is imported: mitmproxy pins much of what
Datasette needs, too.
"""

import sys
from pathlib import Path

# The folder that holds deploy/ instead of this one, whose files would hide others of the same name.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from deploy.dashboard.__main__ import main  # noqa: E402 - found by the line above

main(prog_name="llm-metrics dashboard")
