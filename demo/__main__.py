"""`make demo`: six real SDK calls through a real mitmdump to a local provider, then recorded beside true times."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import comparison
from demo.calls import CALLS, answer, asked_model
from tests.support.provider.server import Provider
from tests.support.proxy import ADDON, ROOT, Proxy, client_environment


def main() -> int:
    """Run it and return the exit code: 1 if a recorded value is not the true one."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--addon", type=Path, default=ADDON, help="the script that mitmdump loads")
    addon: Path = parser.parse_args().addon
    folder = Path(tempfile.mkdtemp(prefix="llm-metrics-demo-"))
    print(f"Everything of this run is in {folder}\n")
    with Provider(answer) as provider:
        authority = provider.authority.write(folder / "provider-ca.pem")
        with Proxy(folder, provider.port, authority, addon=addon) as proxy:
            print(f"mitmdump -s {addon.relative_to(ROOT) if addon.is_relative_to(ROOT) else addon} is at {proxy.url}")
            print("An ordinary program makes six calls; its environment says HTTPS_PROXY and SSL_CERT_FILE:")
            run_client(proxy, folder)
        served = {asked_model(truth.request): truth for truth in provider.served}
    truths = [comparison.true_values(call, served[call.model]) for call in CALLS]
    comparison.write(folder, truths)
    print("\nIn each cell: true / recorded. Times are ms after the request, tokens are prompt+completion.\n")
    print(comparison.table(folder))
    print(f"Print it again:\n  {comparison.command(folder)}")
    wrong = comparison.differences(folder, truths)
    print("\n" + ("\n".join(wrong) or f"All times are within {comparison.TOLERANCE_MS} ms, all else is exact."))
    return bool(wrong)


def run_client(proxy: Proxy, folder: Path) -> None:
    """Run the client in a process of its own, as the proxy's users do."""
    keys = {"OPENAI_API_KEY": "sk-no-key", "ANTHROPIC_API_KEY": "sk-no-key"}
    environment = client_environment(proxy, folder, label="demo") | keys
    subprocess.run([sys.executable, "-m", "demo.client"], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    sys.exit(main())
