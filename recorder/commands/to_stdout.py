"""For commands whose answer goes to stdout: a sentence where that cannot be written."""

import errno
import functools
from collections.abc import Callable

import click


def telling_why_not[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Turn the error of a full disk and the like into a sentence on stderr and exit code 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except OSError as error:
            if error.errno == errno.EPIPE:  # nobody reads on, which click knows
                raise
            message = f"The output cannot be written ({error.strerror}): free some space, or write it to another place."
            raise click.ClickException(message) from error

    return run
