"""`llm-metrics env`."""

from pathlib import Path

import certifi
import click

from llm_metrics_proxy.recorder.client_setup import proxy_url
from llm_metrics_proxy.recorder.client_setup.bundle import bundle_of, write_bundle
from llm_metrics_proxy.recorder.client_setup.variables import LINES, compose_block, variables
from llm_metrics_proxy.recorder.commands.common import EXIT_CODES, refusing
from llm_metrics_proxy.recorder.commands.doctor import ca_option
from llm_metrics_proxy.recorder.doctor import is_loopback
from llm_metrics_proxy.recorder.errors import NoAuthority

_ABOUT_LOCAL = (
    "# NO_PROXY: servers of this machine, such as a local Ollama, are not recorded. Unset it to record them, or start "
    "the proxy with --mode regular --mode reverse:http://localhost:11434@11435 and call that port."
)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--shell",
    type=click.Choice([*LINES, "compose"]),
    default="sh",
    show_default=True,
    help="sh is for bash and zsh too; compose is for a service in a compose file.",
)
@click.option("--proxy", metavar="URL", default=proxy_url.DEFAULT, show_default=True, help="The proxy.")
@ca_option
@refusing
def env(shell: str, proxy: str, ca: Path) -> None:
    """Print the lines that send a program's calls through the proxy: eval "$(llm-metrics env)".

    The file of certificates that most of them name holds the public roots as well; it is made beside the proxy's CA
    where it is not there yet. A name in front says who calls: --proxy http://billing:x@127.0.0.1:8080.
    """
    where = proxy_url.parse(proxy)
    url = proxy if "://" in proxy else f"http://{proxy}"
    authority = ca.expanduser().absolute()
    try:
        bundle = bundle_of(authority) or write_bundle(authority, Path(certifi.where()))
    except OSError as error:
        what = f"The proxy's CA {authority} cannot be read ({error.strerror})"
        raise NoAuthority(what=what, cure="start the proxy once, which makes it, or give its path with --ca") from error
    if bundle == authority:
        click.echo(
            f"{authority.parent} cannot be written: these lines trust the proxy's CA alone, so clients that also call "
            "other hosts need a file with the public roots in it as well.",
            err=True,
        )
    if shell == "compose" and is_loopback(where.host):
        click.echo(
            f"In a container {where.host} is the container itself: give --proxy http://SERVICE:{where.port}.", err=True
        )
    values = variables(url, bundle, authority)
    if shell == "compose":
        click.echo(compose_block(values))
        return
    for name, value in values.items():
        click.echo(LINES[shell](name, value))
    click.echo(_ABOUT_LOCAL)  # last, for those who evaluate the lines without quotes
