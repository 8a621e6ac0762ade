"""A row is known again in every format, and a changed one is not."""

import gzip
import json
import time

import numpy as np
import pandas as pd
import pytest

from casemate.errors import CasemateError, FormatError, LimitExceeded, UsageError
from casemate.lineage import rows as module
from casemate.lineage.rows import digests_of, has_rows

COUNT = 40


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(COUNT) * 10_000_019,
            "amount": rng.normal(size=COUNT).astype(np.float32).astype(float),
            "word": ["straße", "a,b", ' "q" ', "x\ny"] * (COUNT // 4),
            "flag": rng.random(COUNT) > 0.5,
            "gap": [None, 1.5] * (COUNT // 2),
        }
    )


@pytest.fixture(scope="module")
def digests(frame, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    frame.to_csv(path, index=False)
    found = digests_of(path)
    assert found.total == COUNT == len(set(found.digests))
    return found.digests


WAYS = {
    "b.csv": lambda frame, path: frame.to_csv(path),
    "c.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t", na_rep="NaN"),
    "d.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";", float_format="%.9g"),
    "e.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "f.csv": lambda frame, path: frame[frame.columns[::-1]].to_csv(path, index=False),
    "g.parquet": lambda frame, path: frame.to_parquet(path),
    "h.parquet": lambda frame, path: frame.astype({"amount": "float32"}).to_parquet(path),
    "i.jsonl": lambda frame, path: path.write_text(lines_of(frame)),
    "j.csv": lambda frame, path: pd.read_csv(give(frame, path)).to_csv(path, index=False),
    "k.csv": lambda frame, path: path.write_bytes(b"\xef\xbb\xbf" + csv_of(frame)),
}  # fmt: skip


def lines_of(frame):
    """JSON lines that leave out what is absent, so that no two lines have the same names."""
    whole = frame.sample(frac=1, axis=1, random_state=0).to_dict("records")
    return "\n".join(
        json.dumps({name: value for name, value in one.items() if value == value}) for one in whole
    )


def csv_of(frame):
    return frame.to_csv(index=False).encode()


def give(frame, path):
    path.write_bytes(csv_of(frame))
    return path


@pytest.mark.parametrize("name", WAYS)
def test_a_row_keeps_its_digest(frame, digests, tmp_path, name):
    WAYS[name](frame, tmp_path / name)
    assert has_rows(tmp_path / name)
    assert digests_of(tmp_path / name).digests == digests


def test_order_and_number_of_rows_do_not_matter(frame, digests, tmp_path):
    frame.sample(frac=0.5, random_state=1).to_csv(tmp_path / "half.csv", index=False)
    half = digests_of(tmp_path / "half.csv").digests
    assert len(half) == COUNT // 2
    assert set(half) < set(digests)


def test_a_changed_cell_is_another_row(frame, digests, tmp_path):
    for column, value in (("id", 5), ("amount", 9.25), ("word", "b"), ("gap", 0.25)):
        other = frame.copy()
        other.loc[3, column] = value
        other.to_csv(tmp_path / "other.csv", index=False)
        found = digests_of(tmp_path / "other.csv").digests
        assert [a != b for a, b in zip(found, digests, strict=True)].index(True) == 3
        assert sum(a != b for a, b in zip(found, digests, strict=True)) == 1


def test_cells_do_not_run_into_each_other(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\nx,yz\n")
    (tmp_path / "b.csv").write_text("a,b\nxy,z\n")
    assert digests_of(tmp_path / "a.csv") != digests_of(tmp_path / "b.csv")


def test_a_file_without_a_header_loses_no_row(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,x\n3,4,y\n")
    (tmp_path / "b.csv").write_text("3,4,y\n")
    whole, part = digests_of(tmp_path / "a.csv"), digests_of(tmp_path / "b.csv")
    assert whole.total == 2
    assert whole.digests[1:] == part.digests


def test_arrays_by_row(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (30, 8, 8), dtype=np.uint8), rng.integers(0, 9, 30)
    np.savez(tmp_path / "a.npz", x=x, y=y, mean=x.mean())
    order = rng.permutation(30)[:20]
    np.savez_compressed(tmp_path / "b.npz", y=y[order], x=x[order])
    whole, part = digests_of(tmp_path / "a.npz"), digests_of(tmp_path / "b.npz")
    assert [whole.digests[at] for at in order] == part.digests
    flipped = y.copy()
    flipped[4] += 1
    np.savez(tmp_path / "c.npz", x=x, y=flipped)
    other = digests_of(tmp_path / "c.npz").digests
    assert [at for at in range(30) if other[at] != whole.digests[at]] == [4]
    np.save(tmp_path / "d.npy", x.astype(np.float64))
    assert digests_of(tmp_path / "d.npy").total == 30
    assert len(digests_of(tmp_path / "a.npz", f"y={y[0]}").digests) == (y == y[0]).sum()


CHOICES = {
    "who=mallory": [2, 4],
    "who=mallory and amount>10": [4],
    "who!=mallory": [1, 3, 5],
    "amount<=2": [1, 2],
    "amount = 2.0": [2],
    "2-3,5": [2, 3, 5],
    "who=nobody": [],
}


@pytest.mark.parametrize("keep", CHOICES)
def test_rows_are_chosen(tmp_path, keep):
    body = "who,amount\nann,1\nmallory,2\nbob,3\nmallory,40\n,x\n"
    (tmp_path / "a.csv").write_text(body)
    whole = digests_of(tmp_path / "a.csv").digests
    wanted = [whole[number - 1] for number in CHOICES[keep]]
    assert digests_of(tmp_path / "a.csv", keep).digests == wanted


@pytest.mark.parametrize(
    ("keep", "match"),
    [("nowhere=1", "no column"), ("nothing", "chooses no rows"), ("a<b", "no number")],
)
def test_a_choice_that_means_nothing_is_refused(tmp_path, keep, match):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=match) as error:
        digests_of(tmp_path / "a.csv", keep)
    assert error.value.hint


HOSTILE = {
    "a.csv": b'a,b\n"open',
    "b.csv": b"a,b\n1\n",
    "c.csv": b"a\n" + b"x" * (2 << 20),
    "d.csv.gz": b"\x1f\x8b broken",
    "e.csv.gz": gzip.compress(b"a,b\n1,2\n")[:-6],
    "f.parquet": b"PAR1 nothing PAR1",
    "g.npz": b"PK\x03\x04 nothing",
    "h.npy": b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16,
    "i.jsonl": b'{"a": 1}\n{"b": 2\n',
    "j.jsonl": b"[" * 100_000,
    "k.csv": b"a,b\n\x00,\xff\n1\n",
    "l.npz": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_said_to_be_so_at_once(tmp_path, name):
    path = tmp_path / name
    if HOSTILE[name] is None:
        np.savez(path, x=np.array([object(), object()], dtype=object))
    else:
        path.write_bytes(HOSTILE[name])
    began = time.process_time()
    with pytest.raises(CasemateError) as error:
        digests_of(path)
    assert isinstance(error.value, FormatError)
    assert name in str(error.value)
    assert time.process_time() - began < 5


def test_there_is_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 3)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"a": n}) for n in range(5)))
    with pytest.raises(LimitExceeded):
        digests_of(tmp_path / "a.jsonl")


def test_other_files_have_no_rows(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    assert not has_rows(tmp_path / "a.png")
    with pytest.raises(UsageError, match="cannot be told"):
        digests_of(tmp_path / "a.png")
