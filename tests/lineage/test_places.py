"""Which files are of the work, and what they probably are."""

import sys

import pytest

from casemate.lineage.places import is_noise, kind_of, package_of

SITE = "/opt/env/lib/python3.11/site-packages"


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/x86_64-linux-gnu/libc.so.6", "/proc/self/maps", "/etc/hosts", "/dev/null",
        f"{SITE}/torch/__init__.py", f"{SITE}/pandas/_libs/lib.so", "/srv/a/p/__pycache__/m.pyc",
        "/srv/a/p/.git/HEAD", "/srv/a/p/.casemate/workspace.db", f"{sys.prefix}/x/y",
        "/usr/local/cuda-12/lib/a", "/srv/a/p/m.lock",
    ],
)  # fmt: skip
def test_noise(path):
    assert is_noise(path)


@pytest.mark.parametrize(
    "path",
    [
        "/srv/a/p/train.csv", "/mnt/data/x.parquet", "/var/data/x", "/tmp/run/model.pt",
        "/srv/a/.cache/huggingface/hub/model.safetensors", "/usr/local/data/x.csv",
        f"{SITE}/sklearn/datasets/data/iris.csv",
    ],
)  # fmt: skip
def test_work(path):
    assert not is_noise(path)


@pytest.mark.parametrize(
    ("path", "written", "kind"),
    [
        ("a/train.csv", False, "dataset"), ("a/train.csv.gz", True, "dataset"),
        ("model.pt", True, "model"), ("MODEL.ONNX", False, "model"),
        ("out/checkpoint-500.pt", True, "checkpoint"), ("epoch=3-step=9.ckpt", True, "checkpoint"),
        ("train.py", False, "code"), ("made.py", True, "file"), ("conf/run.yaml", False, "code"),
        ("cat.png", False, "dataset"), ("plot.png", True, "file"), ("metrics.json", True, "file"),
        ("train-images-idx3-ubyte", False, "dataset"), ("stepwise.pkl", True, "model"),
        ("notes", False, "file"),
    ],
)  # fmt: skip
def test_kinds(path, written, kind):
    assert kind_of(path, written=written) == kind


def test_packages():
    assert package_of(f"{SITE}/sklearn/linear_model/a.py") == (SITE, "sklearn")
    assert package_of(f"{SITE}/six.py") == (SITE, "six")
    assert package_of(f"{SITE}/numpy-1.0.dist-info/METADATA") is None
    assert package_of("/srv/a/p/train.py") is None
