"""A script for the interpreter of a user's programs, on its standard input: finds the installed clients and tries them.

It takes the address to ask for and the names of clients, and prints a JSON array. It stands alone, and keeps to what
Python 3.8 knows. Nothing here says how to find the proxy, or what to trust: that is what is to be found out.
"""

from __future__ import annotations

import sys

sys.path[:] = [folder for folder in sys.path if folder]  # or a file of the folder that this runs in may be imported

import importlib  # noqa: E402 - see above
import json  # noqa: E402
import urllib.request  # noqa: E402
from typing import Any, Callable  # noqa: E402, UP035 - Python 3.8

_SECONDS = 5
_MARKS = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "TLS CA certificate bundle")


def ask_urllib(url: str) -> bytes:
    """Ask with Python's own, which decides for http.client as well."""
    with urllib.request.urlopen(url, timeout=_SECONDS) as response:  # noqa: S310 - https
        body: bytes = response.read()
    return body


def ask_requests(url: str) -> bytes:
    """Ask with requests."""
    body: bytes = importlib.import_module("requests").get(url, timeout=_SECONDS).content
    return body


def ask_httpx(url: str, name: str = "httpx") -> bytes:
    """Ask with httpx."""
    body: bytes = importlib.import_module(name).get(url, timeout=_SECONDS).content
    return body


def ask_httpx2(url: str) -> bytes:
    """Ask with httpx2, which the openai package brings along."""
    return ask_httpx(url, "httpx2")


def ask_boto3(url: str) -> bytes:
    """Ask with a client of boto3, by a call that is a GET; it hands no body out, so its success has to do."""
    config = importlib.import_module("botocore.config").Config(
        retries={"max_attempts": 0}, connect_timeout=_SECONDS, read_timeout=_SECONDS
    )
    client = importlib.import_module("boto3").client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=url.rpartition("/")[0],
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - no secret
        config=config,
    )
    bodies = []
    client.meta.events.register("before-parse.lambda", lambda response_dict, **_: bodies.append(response_dict["body"]))
    client.list_functions()
    return bodies[0] if bodies else b""


_CLIENTS: dict[str, Callable[[str], bytes]] = {
    "urllib": ask_urllib,
    "requests": ask_requests,
    "httpx": ask_httpx,
    "httpx2": ask_httpx2,
    "boto3": ask_boto3,
}


def version_of(name: str) -> str | None:
    """Return a client's version, None if it is not installed."""
    if name == "urllib":
        return sys.version.split()[0]
    try:
        return str(importlib.import_module(name).__version__)
    except ImportError:
        return None


def words(error: BaseException | None) -> list[str]:
    """Return what an error and those behind it say, the innermost last."""
    said: list[str] = []
    while error is not None and len(said) < 10:  # noqa: PLR2004 - a circle ends, too
        said.append(str(error))
        reason = getattr(error, "reason", None)
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
    return said


def asked(name: str, url: str) -> dict[str, Any]:
    """Ask with one client; `body` is what it got, `untrusted` whether it refused the certificate."""
    answer: dict[str, Any] = {"client": name, "version": None, "body": None, "untrusted": False, "said": ""}
    try:
        answer["version"] = version_of(name)
        if answer["version"] is not None:
            answer["body"] = _CLIENTS[name](url).decode("utf-8", "replace")[:1000]
    except Exception as error:  # noqa: BLE001 - whatever a client of another version raises
        said = words(error)
        missing = isinstance(error, FileNotFoundError) and bool(error.args)
        untrusted = missing or any(mark in one for one in said for mark in _MARKS)
        answer.update(said=said[-1][:1000], untrusted=untrusted)
    return answer


if __name__ == "__main__":
    sys.stdout.write(json.dumps([asked(name, sys.argv[1]) for name in sys.argv[2:]]))
