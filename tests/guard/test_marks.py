"""A mark is believed from who holds the key, for one run, for a while."""

import pytest

from casemate.guard.keys import Keys
from casemate.guard.marks import make_mark, read_mark

KEYS = Keys(bytes(range(32)))
RUN = "run-" + "0123456789abcdefghjkmnpqrs"


def test_a_mark_comes_back_until_it_expires():
    mark = make_mark(KEYS, RUN, 1_000)
    assert read_mark(KEYS, mark, 999) == RUN
    assert read_mark(KEYS, mark, 1_000) is None


@pytest.mark.parametrize(
    "forged",
    [
        RUN,
        "",
        "run-" + "0" * 26 + ".9999999999999999." + "0" * 64,
        make_mark(Keys(bytes(range(1, 33))), RUN, 1_000),
        make_mark(KEYS, RUN, 1_000).replace("." + "1000" + ".", ".2000."),
        make_mark(KEYS, RUN, 1_000) + "\n",
        make_mark(KEYS, RUN, 1_000).upper(),
    ],
)
def test_what_was_not_made_with_the_key_is_no_mark(forged):
    assert read_mark(KEYS, forged, 0) is None
