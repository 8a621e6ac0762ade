"""Lengths of time are read as people write them; anything else is refused."""

import pytest

from casemate.errors import UsageError
from casemate.records.duration import seconds


@pytest.mark.parametrize(
    ("text", "length"), [("30s", 30), ("15m", 900), ("24h", 86400), ("1.5 h", 5400), ("7d", 604800)]
)
def test_lengths_are_read(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "0s", "24 hours", "1e9s", "٣h", "1" * 99])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(UsageError, match="not a length"):
        seconds(text)
