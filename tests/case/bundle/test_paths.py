"""Names of items as paths: any name, on any file system, each its own."""

import random

import pytest

from casemate.case.bundle.paths import Paths

HOSTILE = (
    "../../etc/passwd", "/etc/passwd", "a//b", "", ".", "..", "...", "a/.", "a/..", "con",
    "NUL.txt", "aux/x", "a\nb", "a\rb", "a%0Ab", "a\0b", "\u202egpj.exe", "caf\u00e9", "cafe\u0301",
    "A", "a", "x" * 5000, "x/" * 500, "a.", "a ", " a", "C:\\x", "a:b", "<script>", "-rf", "~",
    "a\ud800b", "a/b", "a", "a/b/c", "\U0001f600", "com1.tar.gz", "data", "a=2Fb", "x." * 60,
)  # fmt: skip


def is_plain(path):
    parts = path.split("/")
    return (
        parts[0] == "data"
        and len(path) <= 200
        and all(part.strip(".") and len(part) <= 200 for part in parts)
        and path.isascii()
        and not set(path) & set('<>:"|?*\\%\n\r\0 ')
        and not any(part.endswith(".") for part in parts)
        and not any(
            part.lower().partition(".")[0] in ("con", "nul", "aux", "com1") for part in parts
        )
    )


def test_every_name_gets_a_plain_path_of_its_own(tmp_path):
    paths = Paths()
    found = [paths.of(name) for name in HOSTILE]
    assert [one for one in found if not is_plain(one)] == []
    assert len({one.lower() for one in found}) == len(found)
    for one in found:
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).touch(exist_ok=False)


@pytest.mark.parametrize("seed", range(3))
def test_random_names_too(seed, tmp_path):
    rng = random.Random(seed)
    paths = Paths()
    names = ["".join(rng.choice("aA./b=\u00e9 %n") for _ in range(rng.randrange(6)))
             for _ in range(300)]  # fmt: skip
    found = [paths.of(name) for name in names]
    assert [one for one in found if not is_plain(one)] == []
    assert len({one.lower() for one in found}) == len(found)
    for one in found:
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).touch(exist_ok=False)


def test_a_plain_name_stays_as_it_is():
    assert Paths().of("items/config/casemate.toml") == "data/items/config/casemate.toml"
    assert Paths().of("a b/\u00fc.csv") == "data/a=20b/=C3=BC.csv"
