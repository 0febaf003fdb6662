"""LiteLLM's proxy. It speaks plain HTTP on both sides, which spares it what TLS costs the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.proxy import clean_environment
from tests.trials.bench.commands import Target
from tests.trials.bench.peers.environment import venv
from tests.trials.bench.peers.serving import serving
from tests.trials.bench.provider import Provider
from tests.trials.bench.systems import Served, System
from tests.trials.bench.traffic import Answer

NAME, TITLE = "litellm", "LiteLLM's proxy"
_SHARE = 0.2  # of the requests: it is no matter of a few percent


def prepared() -> System:
    """Install it, and return the system.

    Raises:
        NotHadError: it cannot be had.
    """
    program = venv(NAME, ["litellm[proxy]"]) / "bin" / "litellm"

    @contextmanager
    def started(folder: Path, provider: Provider) -> Iterator[Served]:
        port, config = free_port(), folder / "litellm.yaml"
        base = f"http://127.0.0.1:{provider.ports.plain}/v1"
        models = [
            f"  - model_name: bench-{answer}\n    litellm_params:\n      model: openai/bench-{answer}\n"
            f"      api_base: {base}\n      api_key: sk-bench\n"
            for answer in Answer
        ]
        config.write_text("model_list:\n" + "".join(models) + "litellm_settings:\n  telemetry: false\n")
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        environment = clean_environment(folder) | {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no look into the internet
            "LITELLM_LOG": "ERROR",
            "REPEATED_STREAMING_CHUNK_LIMIT": "1000000",  # it ends streams that say the same thing again and again
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # loopback only
        }
        with serving(command, port, folder / "litellm.log", environment) as pid:
            yield Served(pid, Target(port, None, tunnel=False, rewrites=True))

    return System(NAME, TITLE, foreign=started, share=_SHARE)
