"""A run is recorded whole, whatever becomes of it; what cannot be seen is said to be unseen."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from casemate.errors import UsageError
from casemate.lineage.account import MANY
from casemate.lineage.digests import of_file
from casemate.lineage.found import Lineage
from casemate.lineage.recording import record
from casemate.lineage.watch import why_not
from casemate.records.edge import Node
from casemate.records.make import make

CALLS = pytest.param(
    "calls", marks=pytest.mark.skipif(why_not() is not None, reason="no such filters here")
)
TRAIN = """
import random, sys
from helper import fit
random.seed(7)
rows = open(sys.argv[1]).read()
open(sys.argv[2], "w").write(fit(rows))
"""
ROWS = "amount,label\n" + "".join(f"{number},{number % 2}\n" for number in range(60))


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(TRAIN)
    Path("helper.py").write_text("def fit(rows): return 'weights of ' + rows[::-1]\n")
    Path("train.csv").write_text(ROWS)
    return tmp_path


def run(work, *command, **options):
    return record([sys.executable, *command], root=work, **options)


def by_kind(recorded):
    found = {}
    for one in recorded.lineage.nodes:
        found.setdefault(one.kind, []).append(one)
    return found


def steps(recorded):
    names = {one.id: one.name for one in recorded.lineage.nodes}
    names[recorded.run] = "run"
    return {(names[one.source], one.relation, names[one.target]) for one in recorded.lineage.edges}


@pytest.mark.parametrize("how", [CALLS, "python"])
def test_a_run_is_told_whole(work, how):
    recorded = run(work, "train.py", "train.csv", "model.pkl", how=how)
    assert recorded.exit_code == 0
    kinds = by_kind(recorded)
    assert {kind: len(found) for kind, found in kinds.items() if kind != "environment"} == {
        "run": 1, "code": 1, "dataset": 1, "model": 1,
    }  # fmt: skip
    (data,), (model,), (one,) = kinds["dataset"], kinds["model"], kinds["run"]
    assert (data.name, data.digest, data.id) == ("train.csv", *[of_file(work / "train.csv")] * 2)
    assert (model.name, model.digest) == ("model.pkl", of_file(work / "model.pkl"))
    assert one.facts["state"] == "complete"
    assert one.facts["seed"] == "seed(7) in train.py line 4"
    (code,) = kinds["code"]
    assert (code.facts["script"], code.facts["files"]) == ("train.py", 2)
    assert {("train.csv", "read-by", "run"), ("run", "made", "model.pkl")} < steps(recorded)
    assert ("train.py", "read-by", "run") in steps(recorded)


@pytest.mark.parametrize("how", [CALLS, "python"])
def test_what_children_of_a_run_do_is_told(work, how):
    Path("outer.py").write_text(
        "import subprocess, sys, os\n"
        "subprocess.run([sys.executable, 'train.py', 'train.csv', 'a.pkl'], check=True)\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from worker import copy\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(2) as pool: list(pool.map(copy, ['b', 'c']))\n"
        "    if not os.fork():\n"
        "        open('d.pkl', 'w').write('d' * 99); os._exit(0)\n"
        "    os.wait()\n"
    )
    Path("worker.py").write_text(
        "def copy(mark): open(f'{mark}.pkl', 'w').write(open('train.csv').read() + mark)\n"
    )
    recorded = run(work, "outer.py", how=how)
    assert [one.name for one in by_kind(recorded)["model"]] == ["a.pkl", "b.pkl", "c.pkl", "d.pkl"]
    assert [one.name for one in by_kind(recorded)["dataset"]] == ["train.csv"]


def test_what_only_the_kernel_sees_is_said_to_be_unseen_without_it(work):
    Path("outer.py").write_text("import os; os.system('rev train.csv > model.pkl')\n")
    recorded = run(work, "outer.py", how="python")
    assert "dataset" not in by_kind(recorded)
    (one,) = by_kind(recorded)["run"]
    assert "native code" in one.facts["unseen"]
    assert any("other programs" in note for note in recorded.lineage.notes)
    if why_not() is None:
        recorded = run(work, "outer.py", how="calls")
        assert {("train.csv", "read-by", "run"), ("run", "made", "model.pkl")} < steps(recorded)
        assert recorded.lineage.notes == []


def test_declared_files_are_told_of_though_nothing_is_seen(work):
    recorded = run(
        work, "train.py", "train.csv", "model.pkl", how="none", data=[Path("train.csv")],
        out=["*.pkl"],
    )  # fmt: skip
    assert steps(recorded) == {("train.csv", "read-by", "run"), ("run", "made", "model.pkl")}
    assert "only declared files were looked at" in recorded.lineage.notes
    with pytest.raises(UsageError, match="does not exist"):
        run(work, "train.py", data=[Path("none.csv")])


def test_an_output_that_was_there_before_is_none(work):
    Path("old.pkl").write_text("x" * 99)
    recorded = run(work, "train.py", "train.csv", "model.pkl", how="none", out=["*.pkl"])
    assert [one.name for one in by_kind(recorded)["model"]] == ["model.pkl"]


@pytest.mark.parametrize(
    ("body", "code", "state"),
    [
        ("raise SystemExit(5)", 5, "failed"),
        ("1 / 0", 1, "failed"),
        ("import os; os.kill(os.getpid(), 9)", 137, "killed by SIGKILL"),
        ("import os; os.abort()", 134, "killed by SIGABRT"),
    ],
)
def test_a_run_that_fails_or_is_killed_is_recorded_as_such(work, body, code, state):
    Path("bad.py").write_text(
        f"open('part.pkl', 'w').write(open('train.csv').read()[::-1])\n{body}\n"
    )
    recorded = run(work, "bad.py")
    assert recorded.exit_code == code
    (one,) = by_kind(recorded)["run"]
    assert (one.facts["state"], one.facts["exit_code"]) == (state, code)
    assert {("train.csv", "read-by", "run"), ("run", "made", "part.pkl")} < steps(recorded)


def test_data_cleaned_in_place_is_told_as_it_was_and_as_it_is(work):
    before = of_file(work / "train.csv")
    Path("clean.py").write_text(
        "rows = open('train.csv').readlines()\nopen('train.csv', 'w').writelines(rows[:40])\n"
    )
    recorded = run(work, "clean.py", data=[Path("train.csv")])
    edges = {(one.source, one.target) for one in recorded.lineage.edges}
    after = of_file(work / "train.csv")
    assert before != after
    assert {(before, recorded.run), (recorded.run, after)} < edges
    assert recorded.tables[after] == work / "train.csv"


def test_data_changed_after_it_was_read_is_not_taken_for_what_was_read(work):
    """Seen from Python alone, what it held can no longer be told, and that is what is told."""
    Path("clean.py").write_text(
        "rows = open('train.csv').readlines()\nopen('train.csv', 'w').writelines(rows[:40])\n"
    )
    recorded = run(work, "clean.py", how="python")
    (old, new) = sorted(by_kind(recorded)["dataset"], key=lambda one: one.digest or "")
    assert old.digest is None
    assert old.id.startswith("file:train.csv@")
    assert new.digest == of_file(work / "train.csv")
    assert any("have changed since: train.csv" in note for note in recorded.lineage.notes)


def test_many_files_of_a_folder_are_one_data_set(work):
    for label in ("cat", "dog"):
        Path("images", label).mkdir(parents=True)
        for number in range(MANY):
            Path("images", label, f"{number}.png").write_bytes(f"{label} {number}".encode() * 9)
    Path("train.py").write_text(
        "from pathlib import Path\n"
        "body = b''.join(one.read_bytes() for one in sorted(Path('images').rglob('*.png')))\n"
        "Path('model.pt').write_bytes(body[::-7])\n"
    )
    recorded = run(work, "train.py")
    (data,) = by_kind(recorded)["dataset"]
    assert (data.name, data.facts["files"]) == ("images/", 2 * MANY)
    assert of_file(work / "images/cat/3.png") in recorded.folders[data.id]
    assert len(recorded.folders[data.id]) == 2 * MANY


def test_a_parent_is_told_of_as_such(work):
    parent = make(Node, id=f"sha256:{'a' * 64}", kind="model", name="backbone")
    recorded = run(work, "train.py", "train.csv", "model.pkl", parents=[parent])
    assert {("backbone", "read-by", "run"), ("backbone", "derived-from", "model.pkl")} < steps(
        recorded
    )


def test_a_trace_is_left_before_anything_runs(work):
    begun = []
    run(work, "-c", "pass", begun=begun.append)
    assert isinstance(begun[0], Lineage)
    (node,) = begun[0].nodes
    assert (node.kind, node.facts["state"]) == ("run", "running")


def test_hostile_names_of_files_are_told_and_harm_nothing(work):
    names = ["a\nb.csv", "\x1b[2J.csv", "'; DROP.csv", os.fsdecode(b"\xff\xfe.csv")]
    for name in names:
        Path(name).write_text(ROWS + repr(name))
    Path("train.py").write_text(
        "import glob\n"
        "open('m.pkl', 'w').write(''.join(open(one).read() for one in glob.glob('*.csv')))\n"
    )
    recorded = run(work, "train.py")
    assert len(by_kind(recorded)["dataset"]) == len(names) + 1
    assert "'; DROP.csv" in {one.name for one in by_kind(recorded)["dataset"]}


def test_tiny_files_of_equal_content_are_two_nodes(work):
    Path("a.csv").write_text("a\n1\n")
    Path("b.csv").write_text("a\n1\n")
    recorded = run(work, "-c", "open('a.csv').read(); open('b.csv').read()")
    assert len(by_kind(recorded)["dataset"]) == 2


def test_a_copy_is_the_same_under_another_name(work):
    recorded = run(work, "-c", "import shutil; shutil.copy('train.csv', 'copy.csv')")
    both = by_kind(recorded)["dataset"]
    assert [one.name for one in both] == ["train.csv", "copy.csv"]
    assert both[0].id == both[1].id
    assert {(both[0].id, recorded.run), (recorded.run, both[0].id)} < {
        (one.source, one.target) for one in recorded.lineage.edges
    }


def test_a_secret_of_the_command_is_not_kept(work):
    recorded = run(work, "-c", "pass", "--token", "s3cret", "--api_key=s3cret")
    assert "s3cret" not in str(recorded.lineage)


def test_a_signal_to_the_recorder_is_the_commands_to_answer(work):
    Path("slow.py").write_text(
        "import signal, sys, time\n"
        "def end(*_):\n    open('saved.pkl', 'w').write('x' * 99); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    recorder = (
        "import sys\nfrom pathlib import Path\nfrom casemate.lineage.recording import record\n"
        "done = record([sys.executable, 'slow.py'], root=Path.cwd())\n"
        "print([one.name for one in done.lineage.nodes if one.kind == 'model'], done.exit_code)\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", recorder], stdout=subprocess.PIPE, text=True, cwd=work
    )
    assert started.stdout.readline() == "ready\n"
    started.send_signal(signal.SIGTERM)
    out, _ = started.communicate(timeout=60)
    assert out == "['saved.pkl'] 0\n"


REAL = """
import glob, joblib, numpy as np, pyarrow.parquet as pq, torch, xgboost
from sklearn.linear_model import LogisticRegression
from torch.utils.data import DataLoader, Dataset

class Images(Dataset):
    files = sorted(glob.glob("images/*.npy"))
    def __len__(self): return len(self.files)
    def __getitem__(self, at): return torch.from_numpy(np.load(self.files[at])), at % 2

if __name__ == "__main__":
    torch.manual_seed(3)
    table = pq.read_table("rows.parquet").to_pandas()
    x, y = table[["a", "b"]].to_numpy(), table["label"].to_numpy()
    joblib.dump(LogisticRegression().fit(x, y), "linear.joblib")
    xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(x, y).save_model("trees.ubj")
    net = torch.nn.Linear(16, 2)
    for images, labels in DataLoader(Images(), batch_size=40, num_workers=2):
        torch.nn.functional.cross_entropy(net(images), labels).backward()
    torch.save(net.state_dict(), "checkpoint-1.pt")
    torch.save(net.state_dict(), "net.pt")
"""


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason="no such filters here")
def test_real_frameworks_with_native_readers_and_workers_are_seen_whole(work):
    """pyarrow, torch.save and xgboost open files without Python's help; workers open the images."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    Path("images").mkdir()
    for number in range(MANY + 16):
        np.save(f"images/{number}.npy", rng.random(16, dtype=np.float32))
    table = pd.DataFrame(rng.random((60, 2)), columns=["a", "b"])
    table.assign(label=(table.a > table.b).astype(int)).to_parquet("rows.parquet")
    Path("train.py").write_text(REAL)
    recorded = run(work, "train.py")
    assert recorded.exit_code == 0
    kinds = by_kind(recorded)
    assert {one.name for one in kinds["dataset"]} == {"images/", "rows.parquet"}
    assert {one.name for one in kinds["model"]} == {"linear.joblib", "trees.ubj", "net.pt"}
    assert {one.name for one in kinds["checkpoint"]} == {"checkpoint-1.pt"}
    (packages,) = kinds["environment"]
    used = {"torch", "scikit-learn", "xgboost-cpu", "numpy", "pandas", "pyarrow"}
    assert {f"package:{name}" for name in used} <= packages.facts.keys()
    assert recorded.lineage.notes == []
