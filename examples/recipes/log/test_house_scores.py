"""The good line is read whole; whatever is no such line is refused with a word."""

import pytest
from casemate.guard.logs.house_scores import read

from casemate.errors import FormatError

GOOD = b'{"when": 1793600130.125, "caller": "alice", "row": [0.1, 7], "score": 0.8}'


def test_a_line_says_who_when_and_what():
    found = read(GOOD, fields={})
    assert (found.principal, found.at) == ("alice", 1_793_600_130_125_000)
    assert found.call.body == b'{"instances":[[0.1,7.0]]}'
    assert found.reply.body == b'{"predictions":[0.8]}'


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", GOOD[:-9], GOOD.replace(b"7", b'"x"')])
def test_another_line_is_refused(line):
    with pytest.raises(FormatError):
        read(line, fields={})
