"""Refusals of the recorder: each error is one sentence that says what is the matter, and what to do about it.

RecorderError
  ├─ DatabaseRefused   the path, or what stands there, cannot be our database
  ├─ BackupFailed      no verified backup could be made
  ├─ MigrationFailed   the schema could not be brought up to date; nothing was changed
  ├─ RestoreFailed     a backup could not be put back; the database is what it was
  ├─ ImportFailed      a file could not be read in; what was read in before stays
  ├─ ExportFailed      rows cannot be brought to a destination before somebody does something about it
  ├─ CannotServe       figures cannot be served at an address
  ├─ BadPrices         the file of own prices cannot be used
  ├─ BadExport         a file of a provider's usage or costs cannot be compared
  ├─ NoAnswer          a question about costs has none: no such model, no price, no calls
  ├─ ReportFailed      a report could not be written; what stood there stays
  ├─ NoAuthority       the certificate of the proxy's CA cannot be read
  ├─ BadProxyUrl       a text is no URL of a proxy
  ├─ RunRefused        no proxy can be had for a program
  ├─ NoProgram         a program cannot be run
  └─ BadDuration       a text is no length of time
"""

from collections.abc import Callable
from functools import partial
from typing import Self


class RecorderError(Exception):
    """Something cannot be done. `str(error)` is one sentence for the person who asked for it."""

    def __init__(self, *, what: str, cure: str) -> None:
        """`what` is the matter, `cure` the imperative that helps; neither ends with a full stop."""
        self.what, self.cure = what, cure
        super().__init__(f"{what}: {cure}.")

    def __reduce__(self) -> tuple[Callable[[], Self], tuple[()]]:
        """Errors pass between processes, which exceptions with keyword arguments do not by themselves."""
        return partial(type(self), **vars(self)), ()


class DatabaseRefused(RecorderError):  # noqa: N818 - read as a sentence, as in the tree above
    """The path, or what stands there, cannot be our database."""


class BackupFailed(RecorderError):  # noqa: N818
    """No verified backup could be made."""


class MigrationFailed(RecorderError):  # noqa: N818
    """The schema could not be brought up to date; nothing was changed."""


class RestoreFailed(RecorderError):  # noqa: N818
    """A backup could not be put back; the database is what it was."""


class ImportFailed(RecorderError):  # noqa: N818
    """A file could not be read in; what was read in before stays."""


class ExportFailed(RecorderError):  # noqa: N818
    """Rows cannot be brought to a destination before somebody does something about it."""


class CannotServe(RecorderError):  # noqa: N818
    """Figures cannot be served at an address."""


class BadPrices(RecorderError):  # noqa: N818
    """The file of own prices cannot be used."""


class BadExport(RecorderError):  # noqa: N818
    """A file of a provider's usage or costs cannot be compared."""


class NoAnswer(RecorderError):  # noqa: N818
    """A question about costs has none."""


class ReportFailed(RecorderError):  # noqa: N818
    """A report could not be written; what stood there stays."""


class NoAuthority(RecorderError):  # noqa: N818
    """The certificate of the proxy's CA cannot be read."""


class BadProxyUrl(RecorderError):  # noqa: N818
    """A text is no URL of a proxy."""


class BadDuration(RecorderError):  # noqa: N818
    """A text is no length of time."""


class RunRefused(RecorderError):  # noqa: N818
    """No proxy can be had for a program."""


class NoProgram(RecorderError):  # noqa: N818
    """A program cannot be run; `code` is the exit code that a shell has for it."""

    def __init__(self, *, what: str, cure: str, code: int) -> None:
        """As RecorderError."""
        super().__init__(what=what, cure=cure)
        self.code = code
