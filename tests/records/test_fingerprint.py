"""A fingerprint names rule, path, member and subject, and nothing that an edit moves."""

from hypothesis import given
from hypothesis import strategies as st

from casemate.records.fingerprint import fingerprint

text = st.text(max_size=8)


@given(text, text, st.none() | text, text, text, text, st.none() | text, text)
def test_different_parts_give_different_fingerprints(a, b, c, d, e, f, g, h):
    same = (a, b.replace("\\", "/"), c or "", d) == (e, f.replace("\\", "/"), g or "", h)
    assert (fingerprint(a, b, c, d) == fingerprint(e, f, g, h)) == same


def test_windows_and_posix_paths_are_the_same_place():
    assert fingerprint("r", "a\\b", None, "s") == fingerprint("r", "a/b", None, "s")
