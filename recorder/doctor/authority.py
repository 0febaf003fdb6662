"""Checks of the proxy's CA: its file is there, is the one that the proxy signs with, and is valid.

And of the files that certificate variables name: each is there, and holds what it has to.
"""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

from llm_metrics_proxy.recorder.client_setup.variables import ADDING, REPLACING, sh_line
from llm_metrics_proxy.recorder.doctor import Check, Circumstances, fail, ok, warn
from llm_metrics_proxy.recorder.doctor.port import Found
from llm_metrics_proxy.recorder.store.files import read

_NAME = "CA file"


def look(at: Circumstances, found: Found) -> Check:
    """Look at the file, and compare it with what the proxy hands out."""
    cure = "start the proxy once, which makes it, or give its path with --ca"
    if found.certificate:
        fetch = f"mkdir -p {at.authority.parent} && curl -x {at.url} http://mitm.it/cert/pem -o {at.authority}"
        cure = f"give the file of the proxy's folder with --ca PATH, or: {fetch}"
    try:
        own = _only_certificate(read(at.authority).decode())
    except FileNotFoundError:
        return fail(_NAME, f"There is no {at.authority}.", cure)
    except OSError as error:
        return fail(_NAME, f"{at.authority} cannot be read ({error.strerror}).", "make it readable: it is no secret")
    except ValueError:
        return fail(_NAME, f"{at.authority} holds no certificate.", cure)
    if found.certificate and own != _only_certificate(found.certificate.decode("ascii", "replace")):
        return fail(_NAME, f"{at.authority} is another CA than the one that the proxy signs with.", cure)
    return _dated(at, own, compared=found.certificate is not None)


def _dated(at: Circumstances, own: bytes, *, compared: bool) -> Check:
    ends = _not_after(own)
    if ends is not None and ssl.cert_time_to_seconds(ends) < time.time():
        what = f"{at.authority} was valid until {ends}, so clients refuse what it signed."
        folder = at.authority.parent
        return fail(_NAME, what, f"stop the proxy, remove {folder}/mitmproxy-ca*, start it, and set the variables anew")
    what = (
        "is the one that the proxy signs with" if compared else "is there; whether the proxy signs with it is not known"
    )
    return ok(_NAME, f"{at.authority} {what}{f', valid until {ends}' if ends else ''}.")


def _only_certificate(text: str) -> bytes:
    """Return the first certificate of a PEM text as DER.

    Raises:
        ValueError: there is none.
    """
    begin, end = text.find(ssl.PEM_HEADER), text.find(ssl.PEM_FOOTER)
    if begin < 0 or end < begin:
        raise ValueError(text[:20])
    return ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)])


def _not_after(certificate: bytes) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=certificate)
        (shown,) = context.get_ca_certs()
    except (ssl.SSLError, ValueError):  # not a CA's, or damaged: what clients make of it is asked of them
        return None
    ends = shown.get("notAfter")
    return ends if isinstance(ends, str) else None


def look_at_files(at: Circumstances) -> Iterator[Check]:
    """Look at the variables that are set. What a client makes of them is asked of the client."""
    for name in (*REPLACING, ADDING):
        if not (value := at.environment.get(name)):
            continue
        fix = sh_line(name, str(at.authority if name == ADDING else at.trusted))
        try:
            certificates = read(Path(value)).count(ssl.PEM_HEADER.encode())
        except OSError as error:
            yield fail(name, f"It names {value}, which cannot be read ({error.strerror}).", fix)
            continue
        if not certificates:
            yield fail(name, f"It names {value}, which holds no certificate.", fix)
        elif certificates == 1 and name != ADDING:
            what = f"It names {value}, which holds one certificate: hosts that are no LLM's cannot be verified."
            yield warn(name, what, f'eval "$(llm-metrics env --proxy {at.url})", which joins it with the public roots')
