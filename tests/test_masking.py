"""No key reaches what is stored, and what is no key stays readable."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.headers import credentials
from addon.masking import MASK, masked

_KEYS = [
    "sk-proj-Ab3dEf6hIj9kLm2nOp5q-St8v_Yz1b4d7fH0",
    "sk-ant-api03-Ab3dEf6hIj9kLm2nOp5q-St8v_Yz1b4d7fH0-AA",
    "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef",
    "sk-0123456789abcdef",
    "gsk_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "xai-Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "pplx-Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "hf_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "nvapi-Ab3dEf6hIj9kLm2nOp5q-St8v_Yz1b4d7fH0",
    "r8_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "fw_Ab3dEf6hIj9kLm2nOp5q",
    "csk-ab3def6hij9klm2nop5qst8vyz1b4d7fh0",
    "tgp_v1_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "ghp_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0",
    "github_pat_11ABCDEFG0Ab3dEf6hIj9k_Lm2nOp5qSt8v",
    "AIzaSyAb3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "ABSKQmVkcm9ja0FQSUtleS1hYmNkZWY6MTIz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "0123456789abcdef0123456789ABCDEF",
    "Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7f",
]
_QUOTES = [
    "Incorrect API key provided: {}",
    "{}",
    "key '{}' was revoked",
    '{{"key":"{}"}}',
    "Bearer {} is invalid",
    "x={}&y=1",
]


@pytest.mark.parametrize("quoted", _QUOTES)
@pytest.mark.parametrize("key", _KEYS)
def test_keys_of_known_shapes_are_masked_wherever_they_stand(key: str, quoted: str) -> None:
    said = masked(quoted.format(key))
    assert MASK in said
    assert not any(key[place : place + 8] in said for place in range(len(key) - 7))


@pytest.mark.parametrize(
    "shown", ["sk-ab***yz", "sk-proj-********************AbCd", "gsk_****1234", "AIza*********************fH0x"]
)
def test_keys_that_the_provider_shortened_are_masked_too(shown: str) -> None:
    assert masked(f"Incorrect API key provided: {shown}") == f"Incorrect API key provided: {MASK}"


@pytest.mark.parametrize(
    "sentence",
    [
        "The model `deepseek-ai/DeepSeek-R1-Distill-Qwen-32B` does not exist",
        "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8 is overloaded",
        "ft:gpt-4o-mini-2024-07-18:my-org:custom_suffix:id was not found",
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0 is not available in eu-central-1",
        "This model's maximum context length is 128000 tokens, however you requested 130512 tokens.",
        "Rate limit reached for gpt-5 in organization on tokens per min (TPM): Limit 30000, Used 29000.",
        "max_tokens: 9999999 > 64000, which is the maximum allowed number of output tokens",
        "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum",
        "tools.0.custom.input_schema.additionalProperties: Input should be a valid boolean",
        "Request id: req_011CSHoEeqs5C35K2UUqR7Fy",
        "See https://platform.openai.com/docs/guides/error-codes/api-errors for details.",
        "chatcmpl-9xYz and 6ba7b810-9dad-11d1-80b4-00c04fd430c8 belong together",
        "Missing bearer or basic authentication in header",
        "Your basic subscription does not include this model",
        "",
    ],
)
def test_ordinary_sentences_and_names_of_models_stay(sentence: str) -> None:
    assert masked(sentence) == sentence


_OWN = "s3cret+own/key=="


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": f"Bearer {_OWN}"}, ""),
        ({"authorization": _OWN}, ""),
        ({"proxy-authorization": "Basic " + base64.b64encode(f"me:{_OWN}".encode()).decode()}, ""),
        ({"authorization": "Basic " + base64.b64encode(f"{_OWN}:".encode()).decode()}, ""),
        ({"x-api-key": _OWN}, ""),
        ({"api-key": _OWN}, ""),
        ({"x-goog-api-key": _OWN}, ""),
        ({"cookie": _OWN}, ""),
        ({}, f"alt=sse&key={_OWN}"),
        ({}, f"api_key={quote(_OWN, safe='')}"),
        ({}, f"access_token={_OWN}&x=1"),
    ],
)
def test_the_own_credentials_are_masked_whatever_their_shape(headers: dict[str, str], query: str) -> None:
    secrets = credentials(headers, query)
    assert masked(f"The value {_OWN} is no key", secrets) == f"The value {MASK} is no key"
    for value in headers.values():
        assert value.split(" ")[-1] not in masked(f"You sent {value}", secrets)
    for pair in query.split("&")[-1:] if query else ():
        value = pair.partition("=")[2]
        assert len(value) < 6 or value not in masked(f"You sent {value}", secrets)


def test_a_longer_credential_is_masked_before_one_that_it_contains() -> None:
    assert masked("I saw river-and-lake", ["river-", "river-and-lake"]) == f"I saw {MASK}"


def test_words_too_short_to_be_a_secret_stay() -> None:
    assert masked("a key is short", ["key", "a", ""]) == "a key is short"


@given(text=st.text(max_size=300), secret=st.text(min_size=6, max_size=30))
def test_no_text_holds_a_secret_afterwards(text: str, secret: str) -> None:
    said = masked(text + secret + text, [secret])
    assert secret not in said.replace(MASK, "\n") or secret in MASK
    assert masked(said, [secret]).count(MASK) >= said.count(MASK) > 0 or secret in MASK
