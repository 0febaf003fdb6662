"""What an error message quotes of the request is masked; the provider's own words stay."""

import json
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.privacy import MASK
from llm_metrics_proxy.addon.privacy.quotation import quotable, without_quotations

_PROMPT = "My neighbour Eve Adams lives in Elm Street 7 and her PIN is 4711."
_SPOKEN = 'Größe «β» - 東京タワーはとても高いです and 🏞 at "dawn" on Tuesday\\n'
_FIELDS = {"model": "gpt-5.5-extremely-long-name", "max_completion_tokens": 5, "temperature": 7, "stream": True}


def _body(prompt: str = _PROMPT, *, escaped: bool = True, **fields: object) -> bytes:
    asked = _FIELDS | {"messages": [{"role": "user", "content": prompt}]} | fields
    return json.dumps(asked, ensure_ascii=escaped, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "message",
    [
        "The model `gpt-5.5-extremely-long-name` does not exist or you do not have access to it.",
        "Unsupported parameter: 'max_completion_tokens' is not supported with this model. Use 'max_tokens' instead.",
        "Unsupported value: 'temperature' does not support 7 with this model. Only the default (1) value is supported.",
        "You exceeded your current quota, please check your plan and billing details.",
        "max_tokens: 900000 > 128000, which is the maximum allowed number of output tokens",
        'messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row',
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "Invalid schema for response_format 'x': In context=(), 'additionalProperties' is required to be supplied.",
        "Overloaded",
        "",
    ],
)  # fmt: skip
@pytest.mark.parametrize("escaped", [True, False])
def test_what_a_provider_says_of_its_own_stays(message: str, escaped: bool) -> None:  # noqa: FBT001 - a parameter
    assert without_quotations(message, _body(escaped=escaped), "gpt-5.5-extremely-long-name") == message


def test_the_words_of_a_models_name_are_no_quotation() -> None:
    name = "this-model-does-not-exist"
    message = f"The model `{name}` does not exist or you do not have access to it."
    assert without_quotations(message, _body(model=name), name) == message


_ECHOES = {
    "the validator of FastAPI": "1 validation error: {'type': 'list_type', 'loc': ('body', 'messages'), 'msg': 'Input "
    "should be a valid list', 'input': %s}",
    "JSON": 'Could not parse {"role": "user", "content": "%s"} as a message',
    "words in a row": "The template broke at: %s",
    "the validator of Pydantic": "[type=list_type, input_value='%s', input_type=str]",
}


@pytest.mark.parametrize("prompt", [_PROMPT, _SPOKEN])
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("written", [str, repr, lambda prompt: json.dumps(prompt)[1:-1],
                                     lambda prompt: json.dumps(prompt, ensure_ascii=False)[1:-1]],
                         ids=["as it is", "Python's", "JSON's", "JSON's in Unicode"])  # fmt: skip
@pytest.mark.parametrize("echo", _ECHOES)
def test_an_echo_of_the_prompt_is_masked(echo: str, written: object, escaped: bool, prompt: str) -> None:  # noqa: FBT001
    assert callable(written)
    said = without_quotations(_ECHOES[echo] % written(prompt), _body(prompt, escaped=escaped), None)
    assert MASK in said
    words = [word for word in prompt.split()[1:-1] if len(word) > 3]  # those at the edges may be glued to others
    assert [word for word in words if word in said] == []


@pytest.mark.parametrize(
    "message", ["input_value='%s', input_type=str", "content=%s", "<%s>", "near '%s'", "{'a':'%s'}"]
)
def test_four_words_are_recognised_with_signs_at_their_edges(message: str) -> None:
    prompt = "Eve Adams has cancer"
    assert "Adams has" not in without_quotations(message % prompt, _body(prompt), None)


@pytest.mark.parametrize(
    "echo", [r"one\ntwo three\tfour five", r"one\ntwo\nthree\nfour\nfive", r"one\r\ntwo three four five"]
)
def test_an_escaped_line_end_parts_words(echo: str) -> None:
    body = b'{"messages":[{"content":"%b"}]}' % echo.encode()
    assert "two" not in without_quotations(f"Input should be a valid list, got '{echo}'", body, None)


@pytest.mark.parametrize(
    "prompt", ["one two three four\nfive six seven eight", "one\ntwo\nthree\nfour\nfive", "a1\tb2  c3\td4 e5"]
)
def test_a_line_end_that_became_a_space_hides_nothing(prompt: str) -> None:
    said = without_quotations(f"The template broke at {' '.join(prompt.split())}", _body(prompt), None)
    assert said == f"The template broke at {MASK}"


@pytest.mark.parametrize("word", ["sk_made_up_secret_1234", "東京タワーはとても高いです東京タワー", "x" * 16])
@pytest.mark.parametrize("template", ["Bad value: %s", "Bad value: '%s'.", "(%s)", "%s,"])
def test_one_long_word_of_the_request_is_masked(template: str, word: str) -> None:
    body = _body(f"it is {word} here")
    assert without_quotations(template % word, body, None) == template % MASK


def test_an_echo_is_found_at_the_beginning_and_the_end_of_a_large_request() -> None:
    first, last = "alpha beta gamma delta epsilon", "zeta eta theta iota kappa"
    kept = quotable(_body(f"{first} {'filler ' * 100_000} {last}"))
    assert len(kept) <= 70_000
    assert without_quotations(f"a: {first}; b: {last}!", kept, None).count(MASK) == 2


_WORDS = st.lists(st.text(min_size=1, max_size=20), max_size=12).map(" ".join)


@given(message=_WORDS, body=st.binary(max_size=300), model=st.none() | st.text(max_size=20))
def test_any_message_and_any_body_are_taken(message: str, body: bytes, model: str | None) -> None:
    without_quotations(message, quotable(body), model)


@given(
    before=st.lists(st.sampled_from(["The", "value", "of", "x", "is"]), max_size=4),
    words=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), min_size=4, max_size=9),
    after=st.lists(st.sampled_from(["which", "is", "not", "allowed."]), max_size=4),
    escaped=st.booleans(),
)
def test_four_words_in_a_row_never_stay(before: list[str], words: list[str], after: list[str], escaped: bool) -> None:  # noqa: FBT001
    prompt = " ".join(words)
    said = without_quotations(" ".join([*before, *words, *after]), _body(prompt, escaped=escaped), None)
    assert prompt not in said
    assert MASK in said


@given(message=_WORDS, prompt=_WORDS)
def test_what_is_masked_stands_in_the_request(message: str, prompt: str) -> None:
    assume(MASK not in message)
    body = _body(prompt, escaped=False)
    left = iter(without_quotations(message, body, None).split(MASK))
    position = len(next(left))
    for part in left:
        end = message.index(part, position) if part else len(message)
        spoken = re.findall(r"\w+", f"{prompt} {_body('').decode()}".lower())
        assert all(word in spoken for word in re.findall(r"\w+", message[position:end].lower()))
        position = end + len(part)


def test_the_longest_message_of_the_largest_request_takes_no_time_that_anyone_notices() -> None:
    body = quotable(_body(" ".join(f"wörd{count}" for count in range(30_000))))
    message = " ".join(f"ä{count}" for count in range(500))[:2000]
    start = time.process_time()
    without_quotations(message, body, None)
    assert time.process_time() - start < 0.1


@pytest.mark.parametrize(
    "named",
    [
        "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b",
        "call_12xyz7pQ4rs9TUvw",
        "toolu_01A09q90qw90lq917835lq9",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    ],
)
def test_an_id_that_the_request_names_stays(named: str) -> None:
    message = f"Previous response with id '{named}' not found."
    assert without_quotations(message, _body(f"as in {named} above"), None) == message


@pytest.mark.parametrize("words", ["call_me_maybe_tonight_at_9", "item_of_desire_1999", "my-secret-plan-b-2026"])
def test_words_that_look_a_bit_like_an_id_are_a_quotation(words: str) -> None:
    assert without_quotations(f"Bad value: {words}", _body(f"it is {words} here"), None) == f"Bad value: {MASK}"


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://images.example.com/private/of/anna.png", f"https://images.example.com/{MASK}"),
        ("http://10.0.0.7:8080/private/of/anna.png", f"http://10.0.0.7:8080/{MASK}"),
        ("https://images.example.com", "https://images.example.com"),
        ("https://anna:secret@example.com/a/b", MASK),
    ],
)
def test_of_a_url_that_the_request_names_the_host_stays(url: str, left: str) -> None:
    said = without_quotations(f"Failed to download {url} in time.", _body(f"see {url} there"), None)
    assert said == f"Failed to download {left} in time."
