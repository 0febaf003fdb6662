"""docs/promises.md says what the data and the last records say, and README and SECURITY promise nothing beside it."""

import re

import pytest

from tests.trials.promises import page
from tests.trials.promises.catalogue import Promise, as_one_line, catalogue, exists, sentences
from tests.trials.record import RESULTS, ROOT

CATALOGUE = catalogue()
ADVICE = (
    "tests/trials/promises/promises.toml has no promise with these words: add one with its proof, "
    "or the words to `explained` if they promise nothing"
)
TRIALS = ("bench", "hostile", "soak", "torture")
each_promise = pytest.mark.parametrize("promise", CATALOGUE.promise, ids=lambda promise: promise.name)


@pytest.mark.parametrize("name", CATALOGUE.sections)
def test_every_sentence_of_a_page_is_proven_or_known_to_promise_nothing(name: str) -> None:
    said = [words for promise in CATALOGUE.promise for words in promise.said.get(name, [])]
    said += CATALOGUE.explained[name]
    found = sentences((ROOT / name).read_text(), CATALOGUE.sections[name])
    assert [one for one in found if not any(words in one or one in words for words in said)] == [], ADVICE


@pytest.mark.parametrize("name", CATALOGUE.sections)
def test_the_words_of_a_promise_stand_in_its_page(name: str) -> None:
    text = as_one_line((ROOT / name).read_text())
    said = [words for promise in CATALOGUE.promise for words in promise.said.get(name, [])]
    assert [words for words in said + CATALOGUE.explained[name] if words not in text] == []


@each_promise
def test_a_promise_is_proven_by_what_exists_or_says_why_it_is_not(promise: Promise) -> None:
    assert bool(promise.proofs) != bool(promise.unproven)
    assert [proof for proof in promise.proofs if not exists(proof)] == []


@each_promise
def test_the_change_that_breaks_a_promise_is_one_of_its_own(promise: Promise) -> None:
    if promise.broken is not None:
        assert (ROOT / promise.broken.file).is_file()
        assert promise.broken.old != promise.broken.new
        seen = promise.broken.seen.split(" ")[0]
        assert seen in TRIALS or exists(seen if "::" in seen else f"{seen}::*")
    assert promise.said.keys() <= CATALOGUE.sections.keys()


def test_names_are_used_once_and_can_be_typed() -> None:
    names = [promise.name for promise in CATALOGUE.promise]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if not re.fullmatch(r"[a-z-]+", name)] == []  # a command takes them


def test_the_page_is_what_the_records_say() -> None:
    assert page.PAGE.read_text() == page.page(), "make promises"


def test_records_name_no_place_of_a_machine() -> None:
    for path in RESULTS.glob("*.json"):
        assert not any(place in path.read_text() for place in ("/tmp/", "/home/", "/root/", "/Users/")), path  # noqa: S108
