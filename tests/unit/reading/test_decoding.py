"""Content codings are undone whatever way the bytes come, and no bytes can make them grow without bound."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.addon.framing.decoding import LIMIT, Decoder, TooLarge, Undecodable, decoder_for
from tests.support.exchanges import CODINGS, cut_at, encoded

_MIB = 1024 * 1024
_HEADERS = sorted({header for header, _ in CODINGS.values()})
_CUTS = st.lists(st.integers(min_value=0), max_size=8)


def _decoder(header: str) -> Decoder:
    decoder = decoder_for(header)
    assert decoder is not None
    return decoder


def _read(header: str, pieces: list[bytes]) -> bytes:
    decoder = _decoder(header)
    return b"".join(out for piece in pieces for out in decoder.feed(piece))


@pytest.mark.parametrize("coding", CODINGS)
@given(parts=st.lists(st.binary(max_size=300), max_size=5), cuts=_CUTS)
@example(parts=[bytes(70_000)], cuts=[1, 2, 3])
def test_what_was_encoded_is_read_over_any_cut(coding: str, parts: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(encoded(coding, parts))
    assert _read(CODINGS[coding][0], cut_at(wire, cuts)) == b"".join(parts)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_flushed_part_is_read_before_the_next_one_comes(coding: str) -> None:
    decoder = _decoder(CODINGS[coding][0])
    parts = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
    assert [b"".join(decoder.feed(piece)) for piece in encoded(coding, parts, ended=False)] == parts


@pytest.mark.parametrize(
    ("header", "encode"),
    [
        ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
        ("BR ,  GZIP", lambda data: gzip.compress(brotli.compress(data))),
        ("x-gzip", gzip.compress),
        ("identity, zstd", zstandard.compress),
        ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        ("zstd", lambda data: zstandard.compress(data[:5]) + zstandard.compress(data[5:])),
    ],
)
def test_codings_are_undone_as_the_header_names_them(header: str, encode: Callable[[bytes], bytes]) -> None:
    wire = encode(b"a river and a lake")
    assert _read(header, [wire]) == _read(header, cut_at(wire, range(len(wire)))) == b"a river and a lake"


@pytest.mark.parametrize("header", ["", "identity", " , Identity ,"])
def test_bytes_that_stand_for_themselves_need_no_decoder(header: str) -> None:
    assert decoder_for(header) is None


@pytest.mark.parametrize("header", ["snappy", "gzip, lzma", "aws-chunked", "gzip;q=1", ",".join(["gzip"] * 5)])
def test_an_unknown_coding_is_undecodable(header: str) -> None:
    with pytest.raises(Undecodable):
        decoder_for(header)


@pytest.mark.parametrize("header", _HEADERS)
@given(data=st.binary(max_size=2000), cuts=_CUTS)
def test_any_bytes_are_read_or_undecodable(header: str, data: bytes, cuts: list[int]) -> None:
    with suppress(Undecodable):
        _read(header, cut_at(data, cuts))


@pytest.mark.parametrize("coding", CODINGS)
@given(place=st.integers(min_value=0), byte=st.integers(0, 255), cuts=_CUTS)
def test_a_changed_byte_is_read_or_undecodable(coding: str, place: int, byte: int, cuts: list[int]) -> None:
    wire = bytearray(b"".join(encoded(coding, [b"data: a river and a lake\n\n"] * 20)))
    wire[place % len(wire)] = byte
    with suppress(Undecodable):
        _read(CODINGS[coding][0], cut_at(bytes(wire), cuts))


@pytest.mark.parametrize("size", [_MIB - 1, _MIB, _MIB + 1, _MIB + 100, 2 * _MIB, 3 * _MIB + 257])
@pytest.mark.parametrize("coding", CODINGS)
def test_nothing_waits_inside_a_decoder_however_large_a_part_is(coding: str, size: int) -> None:
    decoder = _decoder(CODINGS[coding][0])
    for piece in encoded(coding, [bytes(size), b"x" * 10], ended=False):
        read = b"".join(decoder.feed(piece))
        assert read in (bytes(size), b"x" * 10)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_and_never_in_memory_at_once(coding: str) -> None:
    wire = b"".join(encoded(coding, [bytes(_MIB)] * 40))
    decoder, read = _decoder(CODINGS[coding][0]), 0
    tracemalloc.start()
    with pytest.raises(TooLarge):  # noqa: PT012 - what came before it counts
        for out in decoder.feed(wire):
            read += len(out)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read <= LIMIT + 100 * len(wire)
    assert most <= 20 * _MIB


def test_a_coding_stacked_on_another_is_bounded_as_well() -> None:
    nothing = zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH) + b"\x00\x00\x00\xff\xff" * (40 * _MIB // 5)
    wire = gzip.compress(nothing, compresslevel=1)  # 40 MiB of empty blocks, which stand for no byte at all
    with pytest.raises(TooLarge):
        _read("gzip, gzip", [wire])


def test_a_long_stream_that_compresses_well_is_no_bomb() -> None:
    event = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"delta":{"content":"%d"}}]}\n\n'
    body = b"".join(event % number for number in range(200_000))
    assert len(_read("gzip", [gzip.compress(body)])) == len(body) > LIMIT


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate without zlib's header"])
def test_bytes_after_the_end_are_not_kept(coding: str) -> None:
    decoder = _decoder(CODINGS[coding][0])
    assert b"".join(decoder.feed(b"".join(encoded(coding, [b"a river"])))) == b"a river"
    tracemalloc.start()
    for _ in range(32):
        assert b"".join(decoder.feed(bytes(_MIB // 8))) == b""
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < _MIB
