"""T23: pipes, folders, sockets, devices, links and files of other users in the place of every file that is opened."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.support import planted
from tests.support.planted import Ended, Planted, starts
from tests.trials.torture.case import Outcome, Stage, expect

type Tried = list[tuple[Planted, Ended]]


def commands(stage: Stage) -> Outcome:
    """Every command against every kind of thing in the place of every file."""
    cases = planted.combinations(planted.FILES, planted.COMMANDS)
    return _judged(stage, cases, planted.tried, planted.fault)


def both_starts(stage: Stage) -> Outcome:
    """The same for `mitmdump -s` and `llm-metrics run`."""
    cases = planted.combinations(starts.FILES, starts.STARTS)
    return _judged(stage, cases, starts.tried, starts.fault)


def _judged(
    stage: Stage,
    all_cases: Sequence[tuple[str, str, str]],
    tried: Callable[[Iterable[Planted]], Tried],
    fault: Callable[[Planted, Ended], str | None],
) -> Outcome:
    rounds = stage.rounds(1)
    begin = planted.template(stage.folder / "template")
    for number in range(rounds):
        faults = [
            f"{case.what}: {what}"
            for case, ended in tried(_cases(begin, stage.sub(number), all_cases))
            if (what := fault(case, ended)) is not None
        ]
        expect(not faults, f"{len(faults)} of {len(all_cases)}, the first: {faults[:1]}")
    return Outcome(rounds, {"cases a round": len(all_cases)})


def _cases(begin: Path, folder: Path, all_cases: Iterable[tuple[str, str, str]]) -> Iterable[Planted]:
    for number, (file, kind, command) in enumerate(all_cases):
        case = Planted(file, kind, command, folder / str(number))
        planted.plant(begin, case.folder, file, kind)
        yield case
