"""A client, as the catalogue describes it before it is tried."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

CERTIFICATES: Final = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""The variables that a start prints by which a client may find the proxy's CA."""

type Kind = Literal["python", "node", "sh"]


@dataclass(frozen=True)
class Call:
    """One call of a program, which is answered as a folder of tests/fixtures tells."""

    case: str
    says: str | None  # the line that the program prints of the answer; None: it prints the answer's bytes


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What is tried, as far as it has to be installed."""

    id: str
    kind: Kind = "python"
    packages: tuple[str, ...] = ()
    node: str = ""  # its major version
    python: str = ""  # its version, where it is not this one

    @property
    def environment(self) -> str:
        """The name of its environment, which all of the same packages share."""
        packages = re.sub(r"\W+", "-", " ".join(self.packages)).strip("-")
        return f"{self.kind}{self.node}{self.python}-{packages}"


@dataclass(frozen=True, kw_only=True)
class Client(Installed):
    """A program and what it needs."""

    program: str  # below programs/
    calls: tuple[Call, ...]
    agent: str  # how `origin` begins, which comes from the User-Agent
    needs: tuple[str, ...] = ("HTTPS_PROXY",)  # variables, all of them
    trusts: tuple[str, ...] = ("SSL_CERT_FILE",)  # each of them does alone; () where there is no TLS
    keys: Mapping[str, str] = field(default_factory=dict)  # variables that it needs without a proxy as well
    note: str = ""  # what of the packages is tried
    code: str = ""  # what the program itself has to say
    mode: str = "regular"  # mitmdump's
    passes: bool = True  # False: it goes past the proxy, whatever its environment says

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that are set when it is tried."""
        return (*self.needs, *self.trusts[:1])
