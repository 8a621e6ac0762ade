import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import chat
from casemate.targets.wire.chat import Stream
from casemate.targets.wire.tensor import Message


def read(value):
    return chat.decode_request(Message(json.dumps(value).encode(), chat.JSON))


def heard(*chunks):
    stream = Stream()
    for chunk in chunks:
        stream.feed(chunk)
    stream.end()
    return stream


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_question_comes_back(texts):
    asked = chat.decode_request(chat.encode_request("m", texts, stream=True))
    assert asked == chat.Asked("m", ("\x1f".join(texts),), stream=True)


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({"messages": [{"role": "user", "content": "a"}]}, ("a",)),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]},
            ("s\x1fa",),
        ),
        (
            {"messages": [
                {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "image_url"}]},
                {"role": "tool", "content": "d"}]},
            ("c\x1fd",),
        ),
        ({"messages": [{"role": "assistant", "content": "go on"}]}, ("go on",)),
        ({"prompt": "a"}, ("a",)),
        ({"prompt": ["a", "b"]}, ("a", "b")),
        ({"prompt": [1, 2, 3]}, ("1 2 3",)),
        ({"prompt": [[1, 2], [3]]}, ("1 2", "3")),
        ({"input": ["a", "b"]}, ("a", "b")),
        ({"input": [{"role": "user", "content": "a"}]}, ("a",)),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, ("x",)),
        ({"text_input": "a"}, ("a",)),
    ],
)  # fmt: skip
def test_forms_of_questions(body, texts):
    assert read({"model": "m", **body}).texts == texts


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": []},
        {"prompt": []},
        {"input": []},
        {"messages": [{"role": "user", "content": "a"}], "prompt": "b"},
        {"prompt": {"a": 1}},
        {"messages": [{"content": "a"}]},
        {"messages": "a"},
        [],
    ],
)
def test_no_question(body):
    with pytest.raises(FormatError):
        read(body)


def test_answers():
    assert chat.decode_response(chat.encode_response("m", "hé")).texts[0].values == ("hé",)
    found = chat.decode_response(Message(b'{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}', ""))
    np.testing.assert_array_equal(found.tensors[0].array, [[1, 2], [3, 4]])
    output = {"output": [{"type": "reasoning"}, {"type": "message", "content": [{"text": "a"}]}]}
    body = json.dumps(output).encode()
    assert chat.decode_response(Message(body, chat.JSON)).texts[0].values == ("a",)
    for bad in (
        b"{}",
        b'{"data":[{"embedding":"AAAA"}]}',
        b'{"data":[{"embedding":[1]},{"embedding":[]}]}',
    ):
        with pytest.raises(FormatError):
            chat.decode_response(Message(bad, chat.JSON))


@given(st.lists(st.text(max_size=6), max_size=6), st.lists(st.integers(0, 400), max_size=20))
def test_a_stream_reads_the_same_however_it_is_cut(pieces, cuts):
    whole = b"".join(chat.encode_stream("m", pieces))
    for wire in (whole, whole.replace(b"\n", b"\r\n"), whole.replace(b"\n", b"\r")):
        edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
        stream = heard(*(wire[a:b] for a, b in itertools.pairwise(edges)))
        assert (stream.text, stream.finish, stream.done) == ("".join(pieces), "stop", True)
        assert stream.broken == 0


def test_events_that_are_not_ours_are_counted_and_skipped():
    stream = heard(
        b": hello\n\nevent: ping\ndata: {}\n\ndata: no json\n\n",
        b'data: {"choices":[{"index":1,"delta":{"content":"other"}}]}\n\n',
        b'data: {"choices":[{"delta":\ndata: {"content":"a"}}]}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"b"}\n\n',
        b'data: {"choices":[{"delta":{"content":"c"},"finish_reason":"length"}]}',
    )
    assert (stream.text, stream.broken, stream.finish, stream.done) == ("abc", 1, "length", False)


def test_endless_lines_and_texts_are_bounded():
    stream = Stream()
    for _ in range(40):
        stream.feed(b"data: " + b"x" * (1 << 17))
    assert len(stream._rest) <= chat.MAX_LINE + (1 << 18)
    stream.feed(b'\n\ndata: {"choices":[{"delta":{"content":"still heard"}}]}\n\n')
    assert (stream.broken, stream.text) == (1, "still heard")
    many = Stream()
    for _ in range(3000):
        many.feed(b"data: " + b"y" * 1000 + b"\n")
    many.feed(b"\n")
    assert many.broken == 1
    long = Stream()
    piece = json.dumps({"choices": [{"delta": {"content": "z" * 100_000}}]}).encode()
    for _ in range(30):
        long.feed(b"data: " + piece + b"\n\n")
    assert (len(long.text), long.length) == (chat.MAX_TEXT, 3_000_000)
    assert len("".join(long._said)) < 2 * chat.MAX_TEXT
