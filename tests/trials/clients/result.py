"""The result of trying one client, and the table of all of them in docs/clients.md."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.trials.clients.client import Client
from tests.trials.clients.minimal import Finding
from tests.trials.clients.pages import Page, named
from tests.trials.clients.trial import Trial

PAGE = Page(("client", "on", "environment", "the CA, any one of", "in the program"))
_MOST = 200  # characters of what is wrong


@dataclass
class Result:
    """The result of one client."""

    client: Client
    versions: Mapping[str, str] = field(default_factory=dict)
    not_tried: str = ""  # why
    trial: Trial | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """One sentence for each thing that is not as the catalogue says."""
        if self.trial is None:
            return [f"not tried: {self.not_tried}"]
        if not self.client.passes:
            return [f"{self.trial.rows} rows although it goes past the proxy"] if self.trial.rows else []
        unexpected = [finding for finding in self.findings if not finding.as_expected]
        return [*self.trial.problems, *(f"{one.what}: {one.outcome}" for one in unexpected)]


def cells(client: Client) -> list[str]:
    """Return what the catalogue says: a line of the table from the third cell on."""
    if not client.passes:
        return ["any", "any", "goes past the proxy, is not recorded"]
    names = " ".join(f"`{name}`" for name in client.needs)
    proxy = f", `--mode {client.mode}@11435`" if client.mode != "regular" else ""
    return [names + proxy, ", ".join(f"`{name}`" for name in client.trusts) or "no TLS", client.code]


def line(result: Result) -> list[str]:
    """Return a client's line of the table."""
    names, runtime = named(result.versions, result.client.packages)
    about = [", ".join(filter(None, (names, result.client.note))), runtime]
    if result.wrong:
        return [*about, *cells(result.client)[:2], f"**fails**: {'; '.join(result.wrong)[:_MOST].replace('|', '/')}"]
    return [*about, *cells(result.client)]


def table(results: Iterable[Result]) -> str:
    """Return the table."""
    return PAGE.table(map(line, results))
