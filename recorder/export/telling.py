"""Progress of an export on stderr: a bar for a person, lines for a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from llm_metrics_proxy.recorder.export.delivery import REFUSED
from llm_metrics_proxy.recorder.reporting import printable

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from llm_metrics_proxy.recorder.export.run import Report

LINE_SECONDS: Final = 60.0  # between two lines about how far it is


class Telling:
    """Is told each report of one export."""

    def __init__(self, bar: "ProgressBar[int] | None") -> None:
        """Without `bar` how far it is becomes a line now and then."""
        self._bar = bar
        self._error: str | None = None
        self._refused = 0  # rows, when it was last said
        self._said_at = time.monotonic()

    def __call__(self, report: "Report") -> None:
        """Say what is new."""
        if report.error != self._error:
            self._error = report.error
            _say(f"It waits and tries again: {report.error}." if report.error else "It goes on.")
        if report.refused > 2 * self._refused:  # now and then
            self._refused = report.refused
            _say(f"{report.refused:,} rows were refused: llm-metrics status shows why, as {REFUSED}.")
        if self._bar is not None:
            self._bar.length = report.sent + report.waiting
            self._bar.update(report.sent - self._bar.pos)
            if not report.waiting:
                self._bar.render_finish()
                self._bar.hidden = True  # it ends here, and not a second time when all ends
                self._bar = None
        elif report.waiting and time.monotonic() - self._said_at >= LINE_SECONDS:
            self._said_at = time.monotonic()
            _say(f"{report.sent:,} rows sent, {report.waiting:,} wait.")


@contextmanager
def telling(label: str) -> Iterator[Telling]:
    """The one that is told, with a bar if a person watches."""
    if not sys.stderr.isatty():
        yield Telling(None)
        return
    with click.progressbar(length=0, label=label, file=sys.stderr) as bar:
        yield Telling(bar)


def _say(sentence: str) -> None:
    click.echo(printable(sentence), err=True)
