"""A whole file is clean; one that ends early, or hides something behind its weights, is not."""

import pytest

from casemate.scan import scan_file

WHOLE = b"BOXW" + (2).to_bytes(4, "little") + bytes(8)
STRANGE = b"\xde\xad\xbe\xef" * 8


@pytest.mark.parametrize(
    ("data", "clean"),
    [(WHOLE, True), (WHOLE[:-1], False), (WHOLE + STRANGE, False)],
)
def test_only_a_whole_file_is_clean(tmp_path, data, clean):
    (tmp_path / "net.boxw").write_bytes(data)
    (verdict,) = scan_file(tmp_path / "net.boxw", root=tmp_path).verdicts
    assert verdict.measures["format"] == "boxed-weights"
    assert (verdict.answer == "yes") is clean
