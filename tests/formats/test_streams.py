"""Files of pickle streams: stacked, with arrays between, cut off, with more behind."""

import io
import pickle

import joblib
import numpy as np
import pytest

from casemate.formats.budget import Budget
from casemate.formats.seen import Part, Span, Stream
from casemate.formats.source import BytesSource
from casemate.formats.streams import is_pickle, read
from tests.corpus.inert import HARMLESS, PROTOCOL_0, PROTOCOL_4


def walk(data):
    return list(read(BytesSource(data), Budget(len(data))))


def test_stacked_streams_are_all_read():
    data = HARMLESS + PROTOCOL_4 + pickle.dumps(3) + PROTOCOL_0
    seen = walk(data)
    assert all(isinstance(each, Stream) for each in seen)
    assert [each.start for each in seen] == [
        0,
        41,
        41 + len(PROTOCOL_4),
        len(data) - len(PROTOCOL_0),
    ] or (len(seen) == 4 and seen[-1].end == len(data))


@pytest.mark.parametrize("behind", [b"\n", bytes(64), b" \r\n"])
def test_padding_behind_is_data(behind):
    assert isinstance(walk(HARMLESS + behind)[-1], Span)


def test_other_bytes_behind_are_a_part_outside():
    part = walk(HARMLESS + b"\x01\x02\x03")[-1]
    assert isinstance(part, Part)
    assert part.outside
    assert part.source.read(0, 9) == b"\x01\x02\x03"


def test_what_is_cut_off_is_refused_from_there():
    span = walk(HARMLESS[:-5])[-1]
    assert isinstance(span, Span)
    assert span.state == "refused" or span.start == span.end


def test_arrays_between_opcodes_hide_nothing():
    out = io.BytesIO()
    joblib.dump([np.zeros(1000), {"after": np.ones(3)}, "end"], out)
    (stream,) = walk(out.getvalue())
    assert stream.trace.complete
    assert max(size for _, size in stream.trace.arrays) >= 8000


@pytest.mark.parametrize(
    "text", [b"cat\ndog\nbird\n", b"S'a'\n", b"(import os\nfrom x\n", b"N.B.", b"0.5\n"]
)
def test_words_are_no_pickles(text):
    assert not is_pickle(BytesSource(text))
