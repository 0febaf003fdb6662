"""The proxy's CA: whether its file is there, is the one that the proxy signs with, and is still valid."""

import ssl
import time

from recorder.doctor.circumstances import Circumstances
from recorder.doctor.port import Found
from recorder.doctor.result import Check, fail, ok

_NAME = "CA file"


def look(at: Circumstances, found: Found) -> Check:
    """Look at the file, and compare it with what the proxy hands out."""
    file, folder = at.authority, at.authority.parent
    fetch = f"mkdir -p {folder} && curl -x {at.url} http://mitm.it/cert/pem -o {file}"
    other = f"give the one of the proxy with --ca PATH, or: {fetch}"
    start = "start the proxy once, which makes it, or give its path with --ca"
    try:
        own = _only_certificate(file.read_text())
    except FileNotFoundError:
        return fail(_NAME, f"There is no {file}.", other if found.certificate else start)
    except OSError as error:
        return fail(_NAME, f"{file} cannot be read ({error.strerror}).", "make it readable: it holds no secret")
    except ValueError:
        return fail(_NAME, f"{file} holds no certificate.", other if found.certificate else start)
    ends = _not_after(own)
    if found.certificate is not None and own != _only_certificate(found.certificate.decode("ascii", "replace")):
        return fail(_NAME, f"{file} is another CA than the one that the proxy signs with.", other)
    if ends is not None and ssl.cert_time_to_seconds(ends) < time.time():
        fix = f"stop the proxy, remove {folder}/mitmproxy-ca*, start it again, and set the variables anew"
        return fail(_NAME, f"{file} is valid until {ends} only, so clients refuse what it signed.", fix)
    valid = f", valid until {ends}" if ends else ""
    if found.certificate is None:
        return ok(_NAME, f"{file} is a certificate{valid}; whether the proxy signs with it was not tried.")
    return ok(_NAME, f"{file} is the one that the proxy signs with{valid}.")


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
