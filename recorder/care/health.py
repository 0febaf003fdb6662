"""`python -m recorder.care.health [URL]`: exit code 0 if the proxy at URL serves, and is one with this addon, else 1.

Without a URL it is the environment's LLM_METRICS_PROXY, else http://127.0.0.1:8080. A proxy that wants a password
(proxyauth) needs it in the URL. Made for the health check of a container: it imports little, since it is started every
few seconds.
"""

import http.client
import os
import sys
from contextlib import closing

from llm_metrics_proxy.recorder.client_setup import proxy_url, signature
from llm_metrics_proxy.recorder.errors import BadProxyUrl

_SECONDS = 5.0
_LONGEST_BODY = 1 << 16


def trouble(url: str, seconds: float = _SECONDS) -> str | None:
    """Return what is wrong with the proxy in one sentence, None if nothing is."""
    try:
        proxy = proxy_url.parse(url)
        with closing(http.client.HTTPConnection(proxy.host, proxy.port, timeout=seconds)) as connection:
            connection.request(
                "GET", f"http://{signature.STATUS_HOST}{signature.STATUS_PATH}", headers=proxy.authorization
            )
            response = connection.getresponse()
            if signature.read(response.read(_LONGEST_BODY)) is not None:
                return None
    except BadProxyUrl as error:
        return str(error)
    except OSError as error:
        return f"{proxy.address} cannot be asked ({error.strerror or error})."
    except http.client.HTTPException:
        return f"{proxy.address} is no HTTP proxy."
    if response.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
        return f"{proxy.address} wants a user and a password: put those of its option proxyauth into the URL."
    return f"{proxy.address} is another program, or mitmproxy without this addon (HTTP {response.status})."


def main() -> None:
    """Say what is wrong, if anything is."""
    url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LLM_METRICS_PROXY") or proxy_url.DEFAULT
    if wrong := trouble(url):
        sys.exit(wrong)


if __name__ == "__main__":
    main()
