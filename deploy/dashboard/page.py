"""page.yaml as the metadata that Datasette and datasette-dashboards want."""

from pathlib import Path
from typing import Any

from datasette.utils import parse_metadata

_HERE = Path(__file__).parent

DATABASE_NAME = "metrics"  # in Datasette, whatever the file is called; page.yaml's filters say the same
PAGE_PATH = "/-/dashboards/llm-metrics"
STATIC = ("page", str(_HERE / "static"))  # served as /page/...


def metadata() -> dict[str, Any]:
    """The metadata; every card's query begins with the tables that page.yaml defines once."""
    page = parse_metadata((_HERE / "page.yaml").read_text())
    common = page.pop("sql")
    for card in page["charts"].values():
        card |= {"db": DATABASE_NAME, "query": common + card["query"]}
    slug = PAGE_PATH.rpartition("/")[2]
    return {"extra_css_urls": ["/page/page.css"], "plugins": {"datasette-dashboards": {slug: page}}}
