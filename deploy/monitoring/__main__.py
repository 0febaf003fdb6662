"""`python -m deploy.monitoring`: write rules.yml and dashboard.json anew, after a change of the queries."""

import io
import json
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

from deploy.monitoring import dashboard, rules

FOLDER: Final = Path(__file__).parent
_HEAD: Final = "# Made by `python -m deploy.monitoring`, which has the thresholds in rules.py: change them there.\n"


def files() -> dict[Path, str]:
    """Return the text of each file that is made."""
    yaml = YAML()
    yaml.width = 10_000  # each expression in one line
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(rules.document(), text)
    return {
        FOLDER / "rules.yml": _HEAD + text.getvalue(),
        FOLDER / "dashboard.json": json.dumps(dashboard.document(), indent=2) + "\n",
    }


def main() -> None:
    """Write them."""
    for path, text in files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
