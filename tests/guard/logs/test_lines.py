"""Files to lines: whatever a file holds, each line keeps its number and nothing goes uncounted."""

import gzip
import io
import random
import zlib

import pytest
import zstandard

from casemate.errors import FormatError, LimitExceeded
from casemate.guard.logs import blocks as blocks_module
from casemate.guard.logs.blocks import blocks
from casemate.guard.logs.documents import BETWEEN, documents, is_document
from casemate.guard.logs.lines import STOPS, TOO_LONG, ZEROS, lines, repaired
from casemate.guard.logs.tally import MOST, Tally


def read(data, **more):
    tally = Tally()
    found = [(row.number, row.body) for row in lines(blocks(io.BytesIO(data)), "f", tally, **more)]
    return found, {count.reason: (count.times, count.first, count.lost) for count in tally.counts}


PLAIN = b'{"a":1}\n\n{"b":2}\r\n  \n{"c":3}'
EXPECTED = [(1, b'{"a":1}'), (3, b'{"b":2}\r'), (5, b'{"c":3}')]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        b"\xef\xbb\xbf" + PLAIN,
        gzip.compress(PLAIN),
        gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]),
        gzip.compress(PLAIN) + b"\0" * 512,
        zstandard.compress(PLAIN),
        zstandard.compress(PLAIN[:9]) + zstandard.compress(PLAIN[9:]),
        PLAIN.decode().encode("utf-16"),
        b"\xfe\xff" + PLAIN.decode().encode("utf-16-be"),
        gzip.compress(b"\xef\xbb\xbf" + PLAIN),
    ],
    ids=["plain", "bom", "gzip", "members", "padded", "zstd", "frames", "utf-16", "be", "gzip-bom"],
)
def test_lines_and_their_numbers_are_the_same_in_every_packing(data):
    assert read(data) == (EXPECTED, {})


def test_ends_are_where_reading_could_go_on():
    rows = list(lines([b"ab\nc", b"d\n\nef"], "f", Tally()))
    assert [(row.number, row.body, row.end) for row in rows] == [
        (1, b"ab", 3), (2, b"cd", 6), (4, b"ef", 9),
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_cut_anywhere_gives_its_lines_and_says_so(pack):
    rng = random.Random(0)
    text = b"".join(b'{"n":%d,"x":%d}\n' % (n, rng.getrandbits(60)) for n in range(3000))
    whole = pack(text)
    for cut in (5, 20, len(whole) // 3, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        found, counts = read(whole[:cut])
        assert (
            b"".join(body + b"\n" for _, body in found) == text[: sum(len(b) + 1 for _, b in found)]
        )
        assert any("stops in the middle" in reason for reason in counts), cut
        assert all(lost for _, _, lost in counts.values())
    assert len(read(whole)[0]) == 3000


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_damaged_file_never_fails_and_never_passes_for_whole(pack):
    rng = random.Random(1)
    text = b"".join(b'{"n":%d,"x":%d}\n' % (n, rng.getrandbits(60)) for n in range(500))
    whole = pack(text)
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(4, len(broken))] = rng.randrange(256)
        found, counts = read(bytes(broken))
        if [body for _, body in found] != text.splitlines() and pack is gzip.compress:
            assert counts  # zstd carries no checksum by default and cannot tell


def test_what_expands_beyond_reason_is_a_bomb(monkeypatch):
    monkeypatch.setattr(blocks_module, "_SLACK", 1 << 20)
    monkeypatch.setattr(blocks_module, "EXPANDS", 100)
    for bomb in (gzip.compress(b"\0" * (64 << 20)), zstandard.compress(b"\0" * (64 << 20))):
        with pytest.raises(LimitExceeded):
            for _ in blocks(io.BytesIO(bomb)):
                pass


def test_all_of_a_full_output_buffer_is_given():
    # The last bytes wait inside zlib when the output ends exactly at a block.
    for size in (blocks_module.BLOCK, 2 * blocks_module.BLOCK, blocks_module.BLOCK + 1):
        data = zlib.compress(b"x" * size, wbits=31)
        assert sum(map(len, blocks(io.BytesIO(data)))) == size


def test_a_line_of_a_gigabyte_is_skipped_in_bounded_memory():
    def giant():
        yield b'{"a":1}\n{"big":"'
        for _ in range(1024):
            yield block
        yield b'"}\n{"b":2}\n'

    block = b"x" * (1 << 20)
    tally = Tally()
    rows = list(lines(giant(), "f", tally))
    assert [(row.number, row.body) for row in rows] == [(1, b'{"a":1}'), (3, b'{"b":2}')]
    assert tally.counts == ((TOO_LONG, 1, "f:2", "f:2", True),)
    assert rows[-1].end == sum(map(len, giant()))


def test_a_last_line_too_long_is_counted_too():
    found, counts = read(b"ok\n" + b"x" * 100, longest=50)
    assert found == [(1, b"ok")]
    assert counts == {TOO_LONG: (1, "f:2", True)}


def test_zero_bytes_are_a_hole_and_the_rest_of_the_line_is_kept():
    found, counts = read(b"a\n\0\0\0\0\n\0\0b\nc\n")
    assert found == [(1, b"a"), (3, b"b"), (4, b"c")]
    assert counts == {ZEROS: (2, "f:2", True)}


def test_utf16_that_stops_within_a_character_says_so():
    found, counts = read("ab\ncd".encode("utf-16")[:-1])
    assert found == [(1, b"ab")]
    assert set(counts) == {"the UTF-16 file stops in the middle of a character", STOPS}


def test_odd_bytes_are_written_out_and_stay_json():
    assert repaired('{"u":"Jörg"}'.encode()) is None
    assert repaired('{"u":"Jörg"}'.encode("latin-1")) == b'{"u":"J%F6rg"}'


PRETTY = b"""[
 {
  "a": {"b": "} { \\" ]"},
  "c": [1, 2]
 },
 {"d": 4}
]
"""


def pretty(data, size):
    tally = Tally()
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return [(row.number, row.body) for row in documents(parts, "f", tally)], tally


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_objects_over_several_lines_are_found_wherever_blocks_end(size):
    found, tally = pretty(PRETTY, size)
    assert [number for number, _ in found] == [2, 6]
    assert found[1][1] == b'{"d": 4}'
    assert found[0][1].startswith(b'{\n  "a"')
    assert tally.counts == ()
    assert is_document(PRETTY)
    assert is_document(b"{\n")
    assert not is_document(b'{"a": 1}\n{')


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_document_cut_off_or_with_rubbish_between_is_counted(size):
    for cut, whole in ((30, 0), (PRETTY.index(b' {"d"') + 4, 1), (len(PRETTY) - 2, 2)):
        found, tally = pretty(PRETTY[:cut], size)
        assert len(found) == whole
        assert [count.reason for count in tally.counts] == [STOPS]
    found, tally = pretty(b'{"a":1} what {"b":2}\nend', size)
    assert [body for _, body in found] == [b'{"a":1}', b'{"b":2}']
    assert {count.reason for count in tally.counts} == {BETWEEN}


def test_a_document_without_end_is_bounded():
    tally = Tally()
    endless = (b'{"a": "' + b"x" * 1000 for _ in range(10_000))
    assert list(documents(endless, "f", tally, longest=20_000)) == []
    assert [count.reason for count in tally.counts] == [TOO_LONG]


def test_reasons_are_bounded():
    tally = Tally()
    for n in range(1000):
        tally.add(f"reason {n}", f"f:{n}", lost=True)
    assert len(tally.counts) == MOST + 1
    assert tally.lost == 1000


def test_an_error_in_the_first_block_is_raised_for_the_reader_to_count():
    with pytest.raises(FormatError):
        list(blocks(io.BytesIO(b"\x1f\x8b" + b"rubbish" * 10)))
