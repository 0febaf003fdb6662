"""Runs with less than a client needs: one variable is left out, or another one names the CA."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.trials.clients.client import CERTIFICATES, Client
from tests.trials.clients.trial import Attempts, Trial

_LABEL = "a-label"


@dataclass(frozen=True)
class Finding:
    """One more run, and whether it went as the catalogue lets one expect."""

    what: str
    trial: Trial
    as_expected: bool

    @property
    def outcome(self) -> str:
        """The result in words."""
        if self.trial.recorded:
            return "recorded"
        rows = f"{self.trial.rows} rows, " if self.trial.rows else "not recorded, "
        return rows + ("; ".join(self.trial.problems) if self.trial.rows else self.trial.last_words or "silent")


def findings(client: Client, values: Mapping[str, str], attempts: Attempts) -> Iterator[Finding]:
    """Run it without each variable; with each variable that may name a CA; and with a label in the proxy's URL.

    Without the proxy's variable a program calls the real provider, if there is a way to it, with a made-up key.
    """
    if not client.passes:
        return
    every = {name: values[name] for name in client.variables}
    for name in client.needs:
        yield _not_recorded(f"without {name}", attempts.run(_without(every, name), client.agent))
        if name.islower():
            capitals = _without(every, name) | {name.upper(): values[name.upper()]}
            yield _not_recorded(f"with {name.upper()} instead", attempts.run(capitals, client.agent))
    if client.trusts:
        needed = {name: values[name] for name in client.needs}
        yield _not_recorded("without a CA", attempts.run(needed, client.agent))
        for name in CERTIFICATES:
            if name == client.trusts[0]:
                continue  # with which it was tried
            trial = attempts.run(needed | {name: values[name]}, client.agent)
            what = f"the CA in {name} alone"
            yield Finding(what, trial, trial.recorded) if name in client.trusts else _not_recorded(what, trial)
    if client.mode == "regular":
        labelled = {name: value.replace("http://", f"http://{_LABEL}:x@") for name, value in every.items()}
        trial = attempts.run(labelled, _LABEL)
        yield Finding("with a label in the proxy's URL", trial, trial.recorded)


def _without(variables: Mapping[str, str], left_out: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name != left_out}


def _not_recorded(what: str, trial: Trial) -> Finding:
    return Finding(what, trial, trial.rows == 0)
