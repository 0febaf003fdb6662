"""The file of certificates that clients are told to trust: the public roots and the proxy's CA.

Most clients trust what their variable names instead of their own roots, and hosts that are no LLM's are tunnelled with
certificates of their own. So the file that is handed out holds both.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

from llm_metrics_proxy.recorder.store.files import read

BUNDLE_NAME: Final = "llm-metrics-ca-bundle.pem"


def write_bundle(authority: Path, roots: Path) -> Path:
    """Write `roots` and the proxy's CA `authority` into one file beside the latter; return it, or `authority`.

    The file is replaced as a whole, so that a client that reads it meanwhile sees the old or the new one.
    """
    bundle = authority.with_name(BUNDLE_NAME)
    try:
        content = read(roots).rstrip() + b"\n\n" + read(authority)
        if bundle.is_file() and read(bundle) == content:
            return bundle
        descriptor, name = tempfile.mkstemp(dir=authority.parent, prefix=BUNDLE_NAME)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            draft.chmod(0o644)
            draft.replace(bundle)
        finally:
            draft.unlink(missing_ok=True)
    except OSError:  # a read-only folder: the CA alone still serves clients that only call LLM hosts
        return authority
    return bundle


def bundle_of(authority: Path) -> Path | None:
    """Return the bundle beside the CA `authority` if it holds that CA: the proxy may have made it of other roots.

    Raises:
        OSError: the CA cannot be read.
    """
    certificate = read(authority).strip()
    bundle = authority.with_name(BUNDLE_NAME)
    try:
        return bundle if certificate and certificate in read(bundle) else None
    except OSError:
        return None
