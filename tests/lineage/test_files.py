"""What counts as read and what as written, whatever the order of things."""

import os

from casemate.lineage import files as module
from casemate.lineage.digests import of_file
from casemate.lineage.files import Files, now


def touched(tmp_path, ignore=lambda _: False):
    return Files(ignore), str(tmp_path / "a"), str(tmp_path / "b")


def opened(files, path, flags):
    files.opened(path, flags, now(path))


def test_a_product_read_again_by_its_run_is_no_input(tmp_path):
    files, a, _ = touched(tmp_path)
    opened(files, a, os.O_WRONLY | os.O_CREAT)
    (tmp_path / "a").write_text("x")
    opened(files, a, os.O_RDONLY)
    assert files.inputs() == []
    assert files.outputs() == [a]


def test_what_is_not_there_is_not_read(tmp_path):
    files, a, _ = touched(tmp_path)
    opened(files, a, os.O_RDONLY)
    opened(files, str(tmp_path), os.O_RDONLY)
    assert files.inputs() == files.outputs() == []


def test_a_file_made_and_removed_again_is_no_output(tmp_path):
    files, a, _ = touched(tmp_path)
    opened(files, a, os.O_WRONLY | os.O_CREAT)
    (tmp_path / "a").write_text("x")
    files.removed(a)
    (tmp_path / "a").unlink()
    assert files.outputs() == []


def test_truncating_reads_nothing(tmp_path):
    files, a, _ = touched(tmp_path)
    (tmp_path / "a").write_text("old")
    opened(files, a, os.O_RDWR | os.O_TRUNC)
    (tmp_path / "a").write_text("newer")
    assert files.inputs() == []
    assert files.outputs() == [a]


def test_a_file_moved_over_one_that_was_read_keeps_what_was_read(tmp_path):
    files, a, b = touched(tmp_path)
    (tmp_path / "a").write_text("read")
    held = of_file(tmp_path / "a")
    opened(files, a, os.O_RDONLY)
    (tmp_path / "b").write_text("new")
    files.replaced(b, a, now(a))
    (tmp_path / "b").replace(a)
    assert [one.digest for one in files.inputs()] == [held]
    assert files.outputs() == [a]


def test_declared_data_is_known_before_anything_can_change_it(tmp_path):
    files, a, _ = touched(tmp_path)
    (tmp_path / "a").write_text("declared")
    held = of_file(tmp_path / "a")
    files.declared(a)
    (tmp_path / "a").write_text("other")
    opened(files, a, os.O_RDONLY)
    assert [one.digest for one in files.inputs()] == [held]


def test_ignored_files_are_counted_and_no_more(tmp_path):
    files, a, _ = touched(tmp_path, ignore=lambda path: path.endswith("/a"))
    (tmp_path / "a").write_text("x")
    opened(files, a, os.O_RDWR)
    assert files.inputs() == files.outputs() == []
    assert files.ignored == {a}


def test_there_is_a_bound_and_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    files = Files(lambda _: False)
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
        opened(files, str(tmp_path / str(number)), os.O_RDONLY)
    assert len(files.inputs()) == 3
    assert files.full
