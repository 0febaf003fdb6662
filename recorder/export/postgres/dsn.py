"""The DSN of a server: a name that may be shown, and the parameters that are added. Nothing here opens a connection."""

import os
from collections.abc import Mapping
from itertools import cycle
from typing import Final

import msgspec
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from llm_metrics_proxy.recorder.errors import ExportFailed
from llm_metrics_proxy.recorder.reporting import printable

# A network that is dead is noticed within these 25 to 30 s, whether something was under way or not.
_ADDED: Final = {
    "connect_timeout": "10",  # seconds, for each address
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",  # ms
    "target_session_attrs": "read-write",  # of several hosts the one that is no standby
    "fallback_application_name": "llm-metrics export",
}
_FORCED: Final = {"client_encoding": "UTF8"}
_CURE: Final = (
    "write it like postgresql://USER@HOST:PORT/DATABASE, with %40 for @ and %2F for / in a password, or like "
    "'host=HOST port=PORT dbname=DATABASE user=USER'"
)
_SCHEMES: Final = ("postgresql://", "postgres://")
_LAST_PORT: Final = 65_535


class Dsn(msgspec.Struct, frozen=True):
    """A DSN, parsed."""

    name: str  # postgres HOST:PORT/DATABASE
    conninfo: str  # with secrets


def parse(dsn: str) -> Dsn:
    """Read a URL or pairs `key=value`, as libpq has both. What it leaves open, libpq takes from PGHOST and the like.

    Raises:
        ExportFailed: it is neither. What libpq says about it is left out, since it repeats parts of passwords.
    """
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
        conninfo = make_conninfo("", **_ADDED | given | _FORCED)
    except (ProgrammingError, UnicodeError, ValueError) as error:
        raise ExportFailed(what="The DSN cannot be read", cure=_CURE) from error
    host, port, database = _where(given)
    # What stands in the wrong place is mostly the end of a password.
    if dsn.startswith(_SCHEMES) and "@" in host + database:
        raise ExportFailed(what="The DSN has an @ too many", cure=_CURE)
    if not all(one.isascii() and one.isdecimal() and 0 < int(one) <= _LAST_PORT for one in port.split(",")):
        raise ExportFailed(what="The DSN has an invalid port", cure=_CURE)
    return Dsn(printable(f"postgres {_addresses(host, port)}/{database}"), conninfo)


def _where(given: Mapping[str, str]) -> tuple[str, str, str]:
    """Hosts, ports and database as libpq will have them; of a service, which stands in a file, its name."""
    if service := given.get("service") or os.environ.get("PGSERVICE"):
        return given.get("host") or f"service {service}", given.get("port") or "5432", given.get("dbname") or service
    user = given.get("user") or os.environ.get("PGUSER") or "its user's"
    return (
        given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or "localhost",
        given.get("port") or os.environ.get("PGPORT") or "5432",
        given.get("dbname") or os.environ.get("PGDATABASE") or user,
    )


def _addresses(host: str, port: str) -> str:
    hosts, ports = host.split(","), port.split(",")
    pairs = zip(hosts, cycle(ports), strict=False)
    return ",".join(f"[{one}]:{number}" if ":" in one else f"{one}:{number}" for one, number in pairs)
