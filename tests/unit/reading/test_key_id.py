"""Ids of keys: the same for a key wherever it stands, others under another secret, and no way back."""

import hashlib

import pytest

from llm_metrics_proxy.addon.callers.key_id import KeyIds
from llm_metrics_proxy.addon.callers.who import NOBODY, Who

KEY = "sk-ant-api03-Zq7Xw1234567890"
IDS = KeyIds(b"s" * 32)
ID = IDS.of({"x-api-key": KEY}, "")
SIGNED = "AWS4-HMAC-SHA256 Credential={0}/20261201/eu-west-1/bedrock/aws4_request, SignedHeaders=host, Signature={1}"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-api-key": KEY, "authorization": "Bearer of-the-gateway"}, ""),
        ({"authorization": f"Bearer {KEY}"}, ""),
        ({"authorization": f"bearer   {KEY} "}, ""),
        ({"authorization": KEY}, ""),
        ({"api-key": KEY}, "api-version=2026-01-01"),
        ({"x-goog-api-key": KEY}, "alt=sse"),
        ({}, f"alt=sse&key={KEY}"),
        ({}, f"key={KEY.replace('-', '%2D')}"),
        ({"sec-websocket-protocol": f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1"}, ""),
        ({"authorization": SIGNED.format(KEY, "a")}, ""),
        ({"authorization": SIGNED.format(KEY, "b")}, ""),
        ({}, f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20261201%2Feu-west-1"),
    ],
)
def test_a_key_has_one_id_wherever_it_stands(headers: dict[str, str], query: str) -> None:
    assert IDS.of(headers, query) == ID


def test_an_id_is_short_hex_of_a_keyed_hash() -> None:
    assert ID is not None
    assert len(ID) == 16
    assert int(ID, 16) >= 0
    assert hashlib.blake2b(KEY.encode(), digest_size=8).hexdigest() != ID
    assert {KeyIds(secret).of({"x-api-key": KEY}, "") for secret in (b"s" * 32, b"t" * 32)} > {ID}
    assert IDS.of({"x-api-key": f"{KEY}1"}, "") != ID


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({"authorization": "Bearer "}, "key="),
        ({"authorization": "AWS4-HMAC-SHA256 nothing"}, "&=&&"),
        ({"sec-websocket-protocol": "realtime"}, "alt=sse"),
    ],
)
def test_without_a_key_there_is_no_id(headers: dict[str, str], query: str) -> None:
    assert IDS.of(headers, query) is None


def test_without_a_secret_there_is_no_id() -> None:
    assert NOBODY.key_id({"x-api-key": KEY}, "") is None


def test_no_text_of_what_makes_ids_has_the_secret() -> None:
    who = Who(b"planted-secret-planted-secret-32")
    assert "planted" not in f"{who!r} {KeyIds(b'planted-secret-planted-secret-32')!r}"


def test_what_no_server_takes_for_a_key_has_an_id_all_the_same() -> None:
    assert IDS.of({"x-api-key": "\udcff" * 100_000}, "") is not None
