"""The files that the variables of certificates name: whether they are there, and hold what they have to."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from llm_metrics_proxy.recorder.client_setup.variables import ADDING, REPLACING, sh_line
from llm_metrics_proxy.recorder.doctor.circumstances import Circumstances
from llm_metrics_proxy.recorder.doctor.result import Check, fail, warn


def look_at_files(at: Circumstances) -> Iterator[Check]:
    """Look at the variables that are set. What a client makes of them is asked of the client."""
    for name in (*REPLACING, ADDING):
        if not (value := at.environment.get(name)):
            continue
        fix = sh_line(name, str(at.authority if name == ADDING else at.trusted))
        try:
            certificates = Path(value).read_text(errors="replace").count(ssl.PEM_HEADER)
        except OSError as error:
            yield fail(name, f"It names {value}, which cannot be read ({error.strerror}).", fix)
            continue
        if not certificates:
            yield fail(name, f"It names {value}, which holds no certificate.", fix)
        elif certificates == 1 and name != ADDING:
            what = f"It names {value}, which holds one certificate: hosts that are no LLM's cannot be verified."
            yield warn(name, what, f'eval "$(llm-metrics env --proxy {at.url})", which joins it with the public roots')
