"""What the recorder can refuse. Each error is one sentence: what is the matter, and what to do about it.

RecorderError
  ├─ DatabaseRefused   the path, or what stands there, cannot be our database
  ├─ BackupFailed      no verified backup could be made
  └─ MigrationFailed   the schema could not be brought up to date; nothing was changed
"""


class RecorderError(Exception):
    """A start that cannot go on. `str(error)` is one sentence for the person who started it."""

    def __init__(self, *, what: str, cure: str) -> None:
        """`what` is the matter, `cure` the imperative that helps; neither ends with a full stop."""
        super().__init__(f"{what}: {cure}.")


class DatabaseRefused(RecorderError):  # noqa: N818 - read as a sentence, as in the tree above
    """The path, or what stands there, cannot be our database."""


class BackupFailed(RecorderError):  # noqa: N818
    """No verified backup could be made."""


class MigrationFailed(RecorderError):  # noqa: N818
    """The schema could not be brought up to date; nothing was changed."""
