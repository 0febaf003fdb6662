"""The files of the proxy's CA, looked at before mitmproxy opens them.

mitmproxy makes what is missing, and waits for ever for a pipe in the place of one of them. Beside `--set confdir=...`
bare mitmdump opens them before it loads any script: there only `llm-metrics run` is in time.
"""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.errors import NoAuthority
from llm_metrics_proxy.recorder.store.files import check_regular, read

CA_NAME: Final = "mitmproxy-ca-cert.pem"
_KEY: Final = "mitmproxy-ca.pem"
_READ: Final = (_KEY, "mitmproxy-dhparam.pem")
_WRITTEN: Final = (CA_NAME, "mitmproxy-ca.p12", "mitmproxy-ca-cert.cer", "mitmproxy-ca-cert.p12")  # with the key

_KEY_PARTS: Final = (b"PRIVATE KEY-----", b"-----BEGIN CERTIFICATE-----")
_LARGEST: Final = 1 << 20  # bytes


def check(folder: Path, others: Iterable[Path] = ()) -> None:
    """See that mitmproxy can read the CA in `folder`, or make it there, and read the `others`.

    Raises:
        NoAuthority: it cannot.
    """
    is_made = not (folder / _KEY).exists()
    needed = [(folder, os.X_OK | (os.W_OK if is_made else 0))]
    needed += [(folder / name, os.R_OK) for name in _READ]
    needed += [(folder / name, os.W_OK if is_made else 0) for name in _WRITTEN]
    needed += [(file, os.R_OK) for file in others]
    for file, access in needed:
        try:
            _look(file, access, folder, is_made=is_made)
        except OSError as error:
            what = f"{file} cannot be used for the proxy's CA ({error.strerror})"
            cure = "move it away, or name another folder with --set confdir=FOLDER"
            raise NoAuthority(what=what, cure=cure) from error


def _look(file: Path, access: int, folder: Path, *, is_made: bool) -> None:
    if file != folder:
        check_regular(file, follow=True)
    elif os.path.lexists(folder) and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder")
    if file.exists() and not os.access(file, access):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if is_made and file.is_symlink() and file.name in (*_READ, *_WRITTEN):
        raise OSError(errno.ELOOP, "it is a symbolic link, through which the CA would be written")
    if file == folder / _KEY and not is_made and not all(part in read(file, _LARGEST) for part in _KEY_PARTS):
        raise OSError(errno.EINVAL, "it holds no key and certificate in PEM")
