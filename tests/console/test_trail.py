"""Nothing is on the trail that did not happen, and nothing comes off it unseen."""

import threading

import pytest

from casemate.console.trail import FILE, Trail
from casemate.errors import StoreError


@pytest.fixture
def trail(tmp_path):
    made = Trail(tmp_path)
    for number in range(5):
        made.add("acted", f"note {number}", who="ann", role="responder", way="token", address="::1")
    return made


def lines(tmp_path):
    return (tmp_path / FILE).read_bytes().splitlines(keepends=True)


def test_it_says_who_did_what_the_newest_first(trail, tmp_path):
    read = trail.read(3)
    assert [one.about for one in read.entries] == ["note 4", "note 3", "note 2"]
    assert read.faults == ()
    assert read.entries[0].who == "ann"
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", ["edit", "drop", "swap", "insert"])
def test_a_changed_line_shows(trail, tmp_path, change):
    kept = lines(tmp_path)
    if change == "edit":
        kept[2] = kept[2].replace(b"note 2", b"note 7")
    elif change == "drop":
        del kept[2]
    elif change == "swap":
        kept[1], kept[2] = kept[2], kept[1]
    else:
        kept.insert(2, b"nonsense\n")
    (tmp_path / FILE).write_bytes(b"".join(kept))
    assert trail.read().faults


def test_a_line_that_was_broken_off_is_told_and_the_next_goes_on(trail, tmp_path):
    with (tmp_path / FILE).open("ab") as out:
        out.write(b'{"at": 17')
    assert "torn" in trail.read().faults[0]
    trail.add("acted", "after")
    read = trail.read()
    assert read.entries[0].about == "after"
    assert read.faults == ("line 6 is no entry",)


def test_two_consoles_write_one_trail(tmp_path):
    trails = [Trail(tmp_path) for _ in range(4)]

    def write(one):
        for number in range(10):
            one.add("acted", str(number))

    threads = [threading.Thread(target=write, args=(one,)) for one in trails]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    read = trails[0].read()
    assert len(read.entries) == 40
    assert read.faults == ()


def test_hostile_words_stay_one_line(trail, tmp_path):
    trail.add("refused", "a\nb\u2028\x00" * 1000, who="\x1b[31m", address="1\n2")
    read = trail.read()
    assert read.faults == ()
    assert len(lines(tmp_path)) == 6
    assert len(read.entries[0].about) <= 400


def test_what_cannot_be_put_on_record_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        Trail(tmp_path / "nowhere").add("acted")


def test_only_the_end_of_a_long_trail_is_read(trail, tmp_path, monkeypatch):
    monkeypatch.setattr("casemate.console.trail._SHOWN", 700)
    read = trail.read()
    assert 0 < len(read.entries) < 5
    assert read.faults == ()
