"""Check of the way to an LLM host: the proxy reaches it, and reads the traffic instead of passing it on unread.

The signer of the certificate tells: the proxy's CA where it opens the connection, the host's own where it does not.
"""

import html
import re
import ssl
from contextlib import closing

import certifi

from llm_metrics_proxy.recorder.doctor import Check, Circumstances, fail, ok, port, untried, warn
from llm_metrics_proxy.recorder.doctor.port import Found

_NAME = "CONNECT"
_OK = 200
_TAG = re.compile(r"<[^>]*>")
_LONGEST = 200  # characters of the proxy's explanation


def look(at: Circumstances, found: Found) -> Check:
    """Ask for a tunnel to the host, and shake hands through it. No request is sent there."""
    if at.host is None:
        return untried(_NAME, "No host was given: llm-metrics doctor api.openai.com tries that one.")
    if found.signature is None:
        return untried(_NAME, f"{at.host} was not tried, since the proxy does not answer.")
    where = f"{at.host}:{at.port}"
    try:
        return _by_signer(at, found, where)
    except _NoTunnelError as error:
        fix = f"see whether {at.host} is right, and whether the proxy's machine reaches it"
        return fail(_NAME, f"The proxy cannot connect to {where} ({error}).", fix)
    except OSError as error:
        what = f"The connection to {where} broke ({error.strerror or error})."
        return fail(_NAME, what, "look at what the proxy printed")


def _by_signer(at: Circumstances, found: Found, where: str) -> Check:
    if _refused(at, _proxys_context(at, found)) is None:
        return ok(_NAME, f"The proxy connects to {where} and reads what goes there: its CA signed the certificate.")
    if (reason := _refused(at, _own_context(at))) is not None:
        what = f"The certificate of {where} is neither the proxy's nor one that is trusted here ({reason})."
        return warn(
            _NAME,
            what,
            "find out what else is in between; for a private CA, set the proxy's option ssl_verify_upstream_trusted_ca",
        )
    what = f"{where} is passed on unread, since the proxy does not know it for an LLM's: it leaves no rows."
    return fail(_NAME, what, f"if it is one, start the proxy with --set 'metrics_hosts=^{re.escape(at.host or '')}$'")


class _NoTunnelError(Exception):
    """The proxy did not open a tunnel."""


def _refused(at: Circumstances, context: ssl.SSLContext) -> str | None:
    """Shake hands; return None if the certificate is one of the context's, else why not."""
    assert at.host is not None  # noqa: S101 - looked at before
    answer, connection = port.connected(at.proxy, at.host, at.port, at.patience)
    with closing(connection):
        if answer.status != _OK:
            explained = " ".join(html.unescape(_TAG.sub(" ", answer.body.decode(errors="replace"))).split())
            raise _NoTunnelError(f"{answer.said}: {explained}"[:_LONGEST])
        try:
            with context.wrap_socket(connection, server_hostname=at.host):
                return None
        except ssl.SSLCertVerificationError as error:
            return error.verify_message


def _proxys_context(at: Circumstances, found: Found) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if found.certificate is not None:
        context.load_verify_locations(cadata=found.certificate.decode("ascii", "replace"))
    else:
        context.load_verify_locations(cafile=at.authority)
    return context


def _own_context(at: Circumstances) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for file in (certifi.where(), at.trusted):
        context.load_verify_locations(cafile=file)
    return context
