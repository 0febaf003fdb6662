"""A database opened to be read by a command: read-only, and whatever is the matter with it is one sentence."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from llm_metrics_proxy.recorder.errors import DatabaseRefused
from llm_metrics_proxy.recorder.store import database, identity

_PATIENCE_SECONDS = 5.0  # for locks, which in WAL only a recovery takes
_STEPS = 50_000  # of SQLite's machine, about a millisecond: between two looks at `is_over`


@contextmanager
def reader(
    path: Path,
    *,
    patience: float = _PATIENCE_SECONDS,
    is_over: Callable[[], bool] = lambda: False,
    look: Callable[[sqlite3.Connection, Path], object] = identity.claimed_version,
) -> Iterator[sqlite3.Connection]:
    """A connection to the database at `path` that waits up to `patience` seconds for locks.

    First `look` sees what the file is, and refuses it with a sentence if that is not for us. A statement ends early
    once `is_over`, which is asked about each millisecond, or when Ctrl-C is typed.

    Raises:
        DatabaseRefused: there is no database of ours at `path`, none of the present version, or it cannot be read. What
            SQLite says inside the `with` becomes one too.
        KeyboardInterrupt: a statement was ended early.
    """
    try:
        with closing(_open(path.absolute(), patience, look)) as connection:
            # Texts came from others: what is no UTF-8 is shown as far as it goes.
            connection.text_factory = lambda text: text.decode(errors="replace")
            # Without it Python would hear of Ctrl-C when SQLite has the first row, of a large database much later. What
            # it raises then goes no further than SQLite, which ends the statement.
            connection.set_progress_handler(is_over, _STEPS)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise identity.refusal(path, error) from error
    except OSError as error:
        raise DatabaseRefused(what=f"{path} cannot be read ({error.strerror})", cure="give another path") from error


def _open(path: Path, patience: float, look: Callable[[sqlite3.Connection, Path], object]) -> sqlite3.Connection:
    if path.is_file() and path.stat().st_size:
        # Before open_reader, which is for our own and looks at one number.
        with closing(database.connect(path, timeout=patience, mode="ro")) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            look(connection, path)
    return database.open_reader(path, timeout=patience)
