"""The floor: what any addon costs that does not make streams wait. Loaded by the mitmdump under test."""

from mitmproxy import http


def _same(data: bytes) -> bytes:
    return data


def requestheaders(flow: http.HTTPFlow) -> None:
    """Stream the request."""
    flow.request.stream = _same


def responseheaders(flow: http.HTTPFlow) -> None:
    """Stream the answer."""
    if flow.response is not None:
        flow.response.stream = _same
