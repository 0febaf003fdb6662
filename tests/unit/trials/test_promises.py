"""The record of trials, the data of promises, and that neither can call kept what is not."""

from pathlib import Path

import pytest

from tests.support.verdict import Promise as Judged
from tests.trials import record
from tests.trials.promises import page
from tests.trials.promises.catalogue import Catalogue, Change, Promise, exists, proving_tests, sentences
from tests.trials.promises.proving import break_each, run_tests
from tests.trials.record import ROOT, Check, Record, added

HERE = "tests/unit/trials/test_promises.py"


def recorded(trial: str, *checks: Check) -> Record:
    return record.recorded(trial, 1.0, checks, {check.name: check.tries for check in checks})


def shown(records: list[Record], *promises: Promise) -> str:
    lines = page.lines(
        Catalogue(sections={}, explained={}, promise=list(promises)), {one.trial: one for one in records}
    )
    return "\n".join(lines)


def promise(*proofs: str, broken: Change | None = None) -> Promise:
    return Promise("name", "Safe", "It is safe.", proofs=list(proofs), unproven="why not", broken=broken)


def test_a_record_comes_back_and_says_what_it_was_made_with(tmp_path: Path) -> None:
    made = record.recorded("soak", 1.23, record.judged([Judged("a", kept=False, found="b")], 7), {"x": 3, "w": 4})
    made.write(tmp_path / "soak.json")
    assert record.read(tmp_path / "soak.json") == made
    assert (made.tries, made.seconds, list(made.kinds)) == (7, 1.2, ["w", "x"])
    assert made.checks == [Check("a", "broken", 7, "b")]
    assert all((made.date, made.version, made.commit, made.python, made.mitmproxy, made.sqlite))


def test_a_record_names_no_place_of_this_machine(tmp_path: Path) -> None:
    place = tmp_path / "a folder"
    found = recorded("torture", Check("a", "broken", 1, f"{place}: it's gone; {ROOT}/addon/row.py:3"))
    found.write(tmp_path / "torture.json")
    text = (tmp_path / "torture.json").read_text()
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
    assert record.read(tmp_path / "torture.json").checks[0].found.endswith("it's gone; ...")


def test_a_promise_is_kept_broken_blocked_or_not_run() -> None:
    words: dict[record.Result, str] = {"kept": "kept 2", "broken": "**BROKEN** 2", "blocked": "1 could not run"}
    for result, word in words.items():
        assert word in shown([recorded("soak", Check("a check", result, 9, "9 of 9"))], promise("soak a check"))
    assert "not run yet: soak" in shown([], promise("soak a check"))
    assert "not run yet: soak" in shown([recorded("soak")], promise("soak a check"))


def test_one_broken_check_breaks_the_promise() -> None:
    found = recorded("soak", Check("one", "kept", 9), Check("two", "broken", 9, "a row | is missing"))
    text = shown([found], promise("soak one", "soak two"))
    assert "BROKEN" in text
    assert "a row / is missing" in text  # a bar would end the cell


def test_tries_of_faults_and_tests_add_up_and_those_of_calls_do_not() -> None:
    checks = Check("one", "kept", 9), Check("two", "kept", 9)
    found = [recorded(trial, *checks) for trial in ("soak", "torture")]
    assert "| 9 calls, 18 rounds |" in shown(found, promise("soak one", "soak two", "torture *"))


def test_what_has_no_proof_is_said() -> None:
    text = shown([], promise())
    assert text.index("## Not proven") < text.index("| It is safe. | why not |")


def test_a_change_is_marked_once_it_was_seen() -> None:
    change = Change("a bolt was loose", "a", "b", "c", "d")
    one = promise("soak a", broken=change)
    assert "a bolt was loose |" in shown([], one)
    assert "a bolt was loose ✓ |" in shown([recorded("break", Check("name", "kept", 1))], one)
    assert "a bolt was loose (NOT NOTICED) |" in shown([recorded("break", Check("name", "broken", 1))], one)


@pytest.mark.parametrize(
    "proof",
    [
        "torture T2: kill -9 of a migration",
        "torture T9: *",
        "soak ours: every answer as sent",
        "hostile no secret is kept",
        "fleet every row arrived, once",
        "fuzz decoding",
        "bench rows lost",
        f"{HERE}::test_one_broken_check_breaks_the_promise",
        f"{HERE}::*",
    ],
)
def test_a_proof_that_the_code_has_exists(proof: str) -> None:
    assert exists(proof)


@pytest.mark.parametrize(
    "proof",
    [
        "torture T2: kill -9 of nothing",
        "soak every wish fulfilled",
        "fuzz everything",
        "bench rows found",
        "tests/unit/nowhere.py::*",
        f"{HERE}::test_nothing",
        f"{HERE}::promise",
    ],
)
def test_a_proof_that_the_code_does_not_have_does_not_exist(proof: str) -> None:
    assert not exists(proof)


def test_sentences_are_those_below_the_headings_and_rows_of_tables_too() -> None:
    text = "# A\n\nOne. `Two`\nis long.\n\n- **Three.** Four\n- Five\n\n```\nno\n```\n\n"
    text += "| a | b |\n| --- | --- |\n| c | d |\n\n## B\n\nSix.\n"
    assert list(sentences(text, ["A"])) == [
        "One.",
        "`Two` is long.",
        "**Three.** Four",
        "Five",
        "| a | b |",
        "| c | d |",
    ]
    assert list(sentences(text, ["B"])) == ["Six."]


def test_the_tests_that_prove_are_run_and_counted() -> None:
    name = f"{HERE}::test_a_proof_that_the_code_has_exists"
    assert proving_tests([name, "soak a"]) == [name]
    (check,) = run_tests([promise(name)]).checks
    assert (check.name, check.result, check.tries) == (name, "kept", 9)


def test_a_change_that_is_not_noticed_is_found_and_taken_back(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("SPEED = 1  # of light\n")
    (tmp_path / "test_engine.py").write_text("import engine\n\ndef test_speed():\n    assert engine.SPEED == 1\n")
    changes = {
        "noticed": ("= 1", "= 2"),
        "unnoticed": ("light", "sound"),
        "gone": ("= 3", "= 4"),
        "wrong": ("= 1", "= ("),
    }
    promises = [
        Promise(name, "Fast", "", broken=Change("", "engine.py", old, new, "test_engine.py::test_speed"))
        for name, (old, new) in changes.items()
    ]
    found = break_each(promises, tmp_path)
    results = {check.name: check.result for check in found.checks}
    # Code that cannot be read any more breaks everything, so it shows nothing of the promise.
    assert results == {"noticed": "kept", "unnoticed": "broken", "gone": "blocked", "wrong": "broken"}
    assert (tmp_path / "engine.py").read_text() == "SPEED = 1  # of light\n"


def test_changes_that_were_tried_later_are_added_to_those_before() -> None:
    before = recorded("break", Check("a", "kept", 1), Check("b", "broken", 1), Check("gone", "kept", 1))
    found = added(recorded("break", Check("c", "kept", 1), Check("b", "kept", 1)), before, ["a", "b", "c", "d"])
    assert {check.name: check.result for check in found.checks} == {"a": "kept", "b": "kept", "c": "kept"}
    assert found.tries == 3
