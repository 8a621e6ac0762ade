"""Compressed streams come out as they went in, within bounds, and are told apart."""

import bz2
import gzip
import lzma
import random
import zlib

import lz4.frame
import pytest
import zstandard

from casemate.formats.budget import FREE, RATIO, Budget
from casemate.formats.compressed import is_lzma, is_zlib
from casemate.formats.decoders import DECODERS
from casemate.formats.expansion import Expansion
from casemate.formats.recognise import recognise
from casemate.formats.source import BytesSource

PACK = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "lz4": lz4.frame.compress,
    "zstd": zstandard.compress,
}
RANDOM = random.Random(1).randbytes(300_000)
INPUTS = {"empty": b"", "short": b"abc" * 5, "random": RANDOM, "dense": b"ab" * 2_000_000}
kinds = pytest.mark.parametrize("kind", PACK)


def expand(kind, data, size=None):
    budget = Budget(len(data))
    return Expansion(BytesSource(data), kind, budget, kind, size)


@kinds
@pytest.mark.parametrize("given", INPUTS)
def test_round_trip(kind, given):
    packed = PACK[kind](INPUTS[given])
    got = expand(kind, packed)
    assert got.trouble == ""
    assert got.read(0, got.size) == INPUTS[given]
    assert got.consumed == len(packed)
    assert got.size == len(INPUTS[given])


@kinds
def test_recognised_and_nothing_else(kind):
    assert [entry.id for entry in recognise(BytesSource(PACK[kind](RANDOM)))] == [kind]


@kinds
def test_behind_the_stream_is_left_alone(kind):
    packed = PACK[kind](b"abc" * 50)
    got = expand(kind, packed + b"\x07behind")
    assert got.read(0, 150) == b"abc" * 50
    assert got.consumed == len(packed) or kind in {"lz4", "zstd", "gzip"}


@kinds
def test_cut_off_is_trouble_and_keeps_what_came_before(kind):
    packed = PACK[kind](RANDOM)
    got = expand(kind, packed[: len(packed) // 2])
    assert got.trouble
    assert got.size < len(RANDOM)
    assert got.read(0, got.size) == RANDOM[: got.size]


def damaged(packed, kind):
    """Change the checksum, or what stands last, of a stream."""
    at = (
        len(packed)
        - {"gzip": 8, "zlib": 4, "xz": 30, "bzip2": 3, "lz4": 2, "zstd": 2, "lzma": 1}[kind]
    )
    return packed[:at] + bytes([packed[at] ^ 0x55]) + packed[at + 1 :]


@pytest.mark.parametrize("kind", ["gzip", "zlib", "zstd"])
@pytest.mark.parametrize("size", [30, 5000, 300_000])
def test_a_wrong_checksum_does_not_hide_what_it_is_of(kind, size):
    pack = PACK[kind]
    if kind == "zstd":
        pack = zstandard.ZstdCompressor(write_checksum=True).compress
    got = expand(kind, damaged(pack(RANDOM[:size]), kind))
    assert got.trouble
    assert got.read(0, got.size) == RANDOM[:size]


@kinds
def test_damage_further_on_does_not_hide_what_comes_first(kind):
    """As far as a reader that asks for small pieces would get."""
    text = (b"first things first, " * 40)[:700]
    packed = bytearray(PACK[kind](text + RANDOM))
    for at in range(len(packed) * 2 // 3, len(packed) * 2 // 3 + 60):
        packed[at] ^= 0xA5
    with expand(kind, bytes(packed)) as got:
        if kind not in {"bzip2", "xz", "lz4"}:  # their blocks are checked before anything comes out
            assert got.trouble or got.read(0, got.size) != text + RANDOM
        if kind != "bzip2":
            assert got.read(0, 700) == text


@kinds
def test_bombs_stop_near_the_free_allowance(kind):
    packed = PACK[kind](bytes(FREE * 2))
    with expand(kind, packed) as got:
        if len(packed) * RATIO < FREE:
            assert got.bomb
            assert got.size < FREE + (8 << 20)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "lz4", "zstd"])
def test_streams_that_follow_one_another_are_one(kind):
    got = expand(kind, PACK[kind](b"abc") + PACK[kind](RANDOM))
    assert got.read(0, got.size) == b"abc" + RANDOM


def test_lazy_expansion_expands_as_far_as_asked():
    got = expand("deflate", zlib.compress(b"ab" * 5_000_000)[2:-4], 10_000_000)
    assert got.size == 10_000_000
    assert got.read(10, 4) == b"abab"
    assert got.produced < 3_000_000
    assert got.read(9_999_998, 10) == b"ab"


@pytest.mark.parametrize("kind", DECODERS)
def test_noise_never_raises(kind):
    rng = random.Random(2)
    for _ in range(200):
        got = expand(kind, rng.randbytes(rng.randint(0, 400)))
        assert got.read(0, 10) is not None


@pytest.mark.parametrize(
    "data", [bytes(100), b"x" * 100, b"x\x01" + bytes(50), b"]\x00" + bytes(60)]
)
def test_weak_magic_needs_more_than_chance(data):
    assert not is_zlib(BytesSource(data))
    assert not is_lzma(BytesSource(data))
