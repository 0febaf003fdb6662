"""No key reaches what is stored, and what is no key stays readable."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.headers import credentials
from llm_metrics_proxy.addon.privacy import MASK, mask_columns, masked

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
        "Include the request ID 4bf92f3577b34da6a3ce929d0e0e4736 in your message.",
        'The server failed (requestId: "9f4dc8fb8841f0b0cc67612b6ef54fb7")',
        "trace_id=9f4dc8fb8841f0b0cc67612b6ef54fb7",
        "Response resp_68Af4030592c81938ec0A5Fbab4A3e9F05438e46B5F69a3b was not found",
        "tool_use ids were found without tool_result blocks: srvtoolu_01A09q90qw90lq917835lq9xYz",
        "No tool output found for msg_bdrk_01XFDUDYJgAACzvnptvVoYELxx",
        "See https://platform.openai.com/docs/guides/error-codes/api-errors for details.",
        "chatcmpl-9xYz and 6ba7b810-9dad-11d1-80b4-00c04fd430c8 belong together",
        "Missing bearer or basic authentication in header",
        "Your basic subscription does not include this model",
        "",
    ],
)
def test_ordinary_sentences_and_names_of_models_stay(sentence: str) -> None:
    assert masked(sentence) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        "The access key id: {} is unknown",
        "key_id={} was revoked",
        "Secret ID {}",
        "You have paid {} for it",
        "The id of your project is known, and {} is not",
    ],
)
@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789ABCDEF", "Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7f"])
def test_what_is_not_called_an_id_is_no_id(sentence: str, secret: str) -> None:
    assert masked(sentence.format(secret)) == sentence.format(MASK)


@pytest.mark.parametrize(
    "key", ["sk-0123456789abcdef", "hf_Ab3dEf6hIj9kLm2nOp5qSt8vYz1b4d7fH0", "AKIAIOSFODNN7EXAMPLE"]
)
def test_a_key_of_a_known_shape_is_masked_though_it_is_called_an_id(key: str) -> None:
    assert masked(f"request id: {key}") == f"request id: {MASK}"


def test_an_own_credential_is_masked_though_it_looks_like_an_id() -> None:
    own = "req_011CSHoEeqs5C35K2UUqR7FyAb3dEf6h"
    assert masked(f"request id: {own}", [own]) == f"request id: {MASK}"


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


_SPELT = {
    "in a URL": quote(_OWN, safe=""),
    "in a URL, in small letters": quote(_OWN, safe="").lower(),
    "in a URL in a URL": quote(quote(_OWN, safe=""), safe=""),
    "in JSON": _OWN.replace("/", "\\/"),
    "in JSON in JSON": json.dumps(_OWN.replace("/", "\\/"))[1:-1],
    "in JSON, as numbers": "".join(f"\\u{ord(sign):04x}" for sign in _OWN),
    "in a page": _OWN.replace("+", "&#43;").replace("/", "&#x2F;"),
    "in a page in JSON": _OWN.replace("/", "\\u0026#47;"),
    "for Basic, as the user": base64.b64encode(f"{_OWN}:".encode()).decode(),
    "for Basic, as the password": base64.b64encode(f":{_OWN}".encode()).decode(),
    "in capital letters": _OWN.upper(),
    "in a program": "".join(f"\\x{ord(sign):02x}" for sign in _OWN),
    "in base64 for URLs": base64.urlsafe_b64encode(_OWN.encode()).decode().rstrip("="),
    "in base64": base64.b64encode(_OWN.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("spelling", _SPELT)
def test_a_credential_is_masked_in_every_spelling(spelling: str) -> None:
    said = masked(f"You sent {_SPELT[spelling]} and no key", [_OWN])
    assert said.startswith(f"You sent {MASK}")
    assert said.endswith(" and no key")


def test_a_part_that_shows_by_itself_does_not_hide_the_whole() -> None:
    own = 'own "secret" & 0123456789abcdef'
    said = masked(f"You sent {quote(quote(own))} and no key", credentials({"x-api-key": own}, ""))
    assert said == f"You sent {MASK} and no key"


@pytest.mark.parametrize("before", ["", "x", "xx", '{"key":"'])
def test_a_credential_is_masked_within_the_base64_of_something_longer(before: str) -> None:
    own = "an-own-credential-1"
    said = masked(f"You sent {base64.b64encode(f'{before}{own}"}}'.encode()).decode()} and no key", [own])
    assert MASK in said
    assert len(said) < len(f"You sent {MASK} and no key") + 4 * len(before) // 3 + 8


def test_a_key_of_a_known_shape_is_masked_in_other_spellings_too() -> None:
    assert masked("token%20was%20sk%2Dproj%2DAb3dEf6hIj9k") == f"token was {MASK}"
    assert masked(r"the key \u0041KIAIOSFODNN7EXAMPLE") == f"the key {MASK}"


def test_other_spellings_stay_as_they_are_where_they_hide_nothing() -> None:
    said = r"100% of C:\new\table & more: see https://example.org/a%20b?c=1&d=2"
    assert masked(said, [_OWN]) == said


def test_undoing_a_spelling_steers_no_terminal() -> None:
    said = masked(f"%1b[31m%0a\\u202e{quote(_OWN, safe='')}", [_OWN])
    assert said.endswith(MASK)
    assert said.isprintable()


@pytest.mark.parametrize("length", [6, 10, len(_OWN)])
def test_a_credential_that_the_end_cuts_is_masked(length: int) -> None:
    assert masked(f"You sent {_OWN[:length]}", [_OWN]) == f"You sent {MASK}"


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("x-amz-security-token", _OWN, _OWN),
        ("ocp-apim-subscription-key", _OWN, _OWN),
        ("helicone-auth", f"Bearer {_OWN}", _OWN),
        ("x-auth-token", _OWN, _OWN),
        ("x-some-secret-of-ours", _OWN, _OWN),
        ("authorization", f"Bearer first-one, Bearer {_OWN}", _OWN),
        ("x-jwt-assertion", _OWN, _OWN),
        ("x-api-pass", _OWN, _OWN),
        ("x-api-key", "own,key", "own,key"),
        ("bearer", _OWN, _OWN),
        ("authorization", f"Bearer   {_OWN}", _OWN),
        ("authorization", f"Bearer\t{_OWN}", _OWN),
        ("authorization", f"Bearer first-one,Bearer {_OWN}", _OWN),
        ("authorization", 'Token token="an-own-credential-1"', "an-own-credential-1"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=an-own-credential-1/us, Signature=x", "an-own-credential-1/us"),
        ("cookie", f'theme=dark; session="{_OWN}"', _OWN),
        ("sec-websocket-protocol", "bearer, an-own-credential-1", "an-own-credential-1"),
        ("sec-websocket-protocol", "base64url.bearer.k8s.io.an-own-credential-1", "an-own-credential-1"),
        ("sec-websocket-protocol", f"realtime, openai-insecure-api-key.{_OWN}, openai-beta.realtime-v1", _OWN),
    ],
)
def test_a_header_that_is_named_like_a_secret_is_one(name: str, value: str, secret: str) -> None:
    secrets = credentials({name: value}, "")
    assert masked(f"The value {secret} is no key", secrets) == f"The value {MASK} is no key"


def test_names_of_schemes_and_of_protocols_are_no_secrets() -> None:
    headers = {
        "authorization": f"Bearer {_OWN}",
        "sec-websocket-protocol": "realtime, openai-beta.realtime-v1",
        "x-author": "somebody",
    }
    said = "Bearer authentication is needed for realtime, openai-beta.realtime-v1, somebody said"
    assert masked(said, credentials(headers, "")) == said


def test_the_user_of_the_proxys_url_is_no_secret() -> None:
    given = base64.b64encode(b"billing-service:pass-word").decode()
    secrets = credentials({"proxy-authorization": f"Basic {given}"}, "")
    assert masked("billing-service has pass-word", secrets) == f"billing-service has {MASK}"


def test_many_and_long_secrets_take_no_time_that_anyone_notices() -> None:
    headers = {f"x-key-{number}": f"{number}-" + "k%" * 4000 for number in range(100)}
    began = time.process_time()
    masked("k%6b\\u006b&#107;" * 100, credentials(headers, ""))
    assert time.process_time() - began < 0.2


def test_a_longer_credential_is_masked_before_one_that_it_contains() -> None:
    assert masked("I saw river-and-lake", ["river-", "river-and-lake"]) == f"I saw {MASK}"


def test_words_too_short_to_be_a_secret_stay() -> None:
    assert masked("a key is short", ["key", "a", ""]) == "a key is short"


@given(text=st.text(max_size=300), secret=st.text(min_size=6, max_size=30))
def test_no_text_holds_a_secret_afterwards(text: str, secret: str) -> None:
    said = masked(text + secret + text, [secret])
    assert secret not in said.replace(MASK, "\n") or secret in MASK
    assert masked(said, [secret]).count(MASK) >= said.count(MASK) > 0 or secret in MASK


def test_a_text_that_was_clean_for_one_key_is_looked_at_again_for_another() -> None:
    for _ in range(2):  # what is remembered of the first time changes nothing
        for secret, expected in (
            ("another-long-secret-1", "call-it-my-long-secret-01"),
            ("my-long-secret-01", "call-it-[masked]"),
        ):
            columns = {"model": "call-it-my-long-secret-01", "origin": "a"}
            mask_columns(columns, [secret])
            assert columns == {"model": expected, "origin": "a"}


def test_texts_are_masked_also_when_more_have_passed_than_are_remembered() -> None:
    for number in range(1000):
        columns = {"model": f"model-{number}", "provider_request_id": f"of-a-rather-long-secret-{number}"}
        mask_columns(columns, [f"a-rather-long-secret-{number % 3}"])
        assert (MASK in columns["provider_request_id"]) is str(number).startswith(str(number % 3))
