"""The environment variables that send a program's calls through the proxy, and what sets them in each shell."""

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

REPLACING: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""They name a file that is trusted instead of the client's own roots, so it has to hold these as well."""
ADDING: Final = "NODE_EXTRA_CA_CERTS"
NODE_SWITCH: Final = "NODE_USE_ENV_PROXY"
LOCAL: Final = "localhost,127.0.0.1,::1"
"""NO_PROXY: servers of this machine, above all those of agents' tools (MCP), are not the proxy's affair."""

# PowerShell takes typographic quotes for plain ones, and a doubled one for itself.
_POWERSHELL_QUOTES = str.maketrans({quote: quote * 2 for quote in "'\u2018\u2019\u201a\u201b"})


def variables(url: str, bundle: Path, authority: Path) -> dict[str, str]:
    """Return the variables and their values: the proxy's URL, the joined file, and the file of the proxy's CA alone."""
    return {
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        "http_proxy": url,  # curl reads no other: a server could set the one in capitals by a header "Proxy"
        **dict.fromkeys(REPLACING, str(bundle)),
        ADDING: str(authority),
        NODE_SWITCH: "1",
        "NO_PROXY": LOCAL,
    }


def program_environment(given: Mapping[str, str], url: str, bundle: Path, authority: Path) -> dict[str, str]:
    """Return `given` with the variables in it, for a program that is started with them.

    Names in small letters are set as well, since many clients prefer them. Hosts that NO_PROXY excepts already stay.
    """
    ours = variables(url, bundle, authority)
    excepted = [given.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    entries = dict.fromkeys(one.strip() for value in (*excepted, LOCAL) for one in value.split(",") if one.strip())
    ours["NO_PROXY"] = ",".join(entries)
    small = {name.lower(): ours[name] for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")}
    return {**given, **ours, **small}


def sh_line(name: str, value: str) -> str:
    """Return the line for sh, bash and zsh."""
    return f"export {name}={shlex.quote(value)}"


def fish_line(name: str, value: str) -> str:
    """Return the line for fish."""
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def powershell_line(name: str, value: str) -> str:
    """Return the line for PowerShell."""
    return f"$env:{name} = '{value.translate(_POWERSHELL_QUOTES)}'"


LINES: Final[Mapping[str, Callable[[str, str], str]]] = {
    "sh": sh_line,
    "fish": fish_line,
    "powershell": powershell_line,
}
"""The line that sets one variable, by the name of the shell."""


def compose_block(values: Mapping[str, str]) -> str:
    """Return what a service in a compose file needs: `environment:`, and `volumes:` for the files that it names.

    Only those files are mounted, under their own paths: the key of the proxy's CA lies beside them.
    """
    # JSON's texts are YAML's; compose replaces what follows a single dollar sign.
    lines = ["environment:", *(f"  {name}: {_yaml(value)}" for name, value in values.items()), "volumes:"]
    for file in dict.fromkeys(values[name] for name in (*REPLACING, ADDING)):
        lines += [
            "  - type: bind",
            f"    source: {_yaml(file)}",
            f"    target: {_yaml(file)}",
            "    read_only: true",
        ]
    return "\n".join(lines)


def _yaml(value: str) -> str:
    return json.dumps(value.replace("$", "$$"))
