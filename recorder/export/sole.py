"""One process for each destination of a database: two would send everything twice."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from llm_metrics_proxy.recorder.errors import ExportFailed, RecorderError
from llm_metrics_proxy.recorder.store import presence


@contextmanager
def alone(path: Path, name: str) -> Iterator[bool]:
    """Whether this is the only exporter of that name, for as long as this lasts.

    Raises:
        ExportFailed: the folder beside the database, where that is kept, cannot be used.
    """
    with ExitStack() as stack:
        try:
            digest = hashlib.sha256(name.encode()).hexdigest()[:16]
            only_one = stack.enter_context(presence.alone(path, f"export-{digest}"))
        except OSError as error:
            what = f"The folder of {path} cannot be written ({error.strerror})"
            raise ExportFailed(what=what, cure="run this as the user of the proxy") from error
        yield only_one
    with suppress(RecorderError):
        presence.check(path)  # which leaves no empty folder behind
