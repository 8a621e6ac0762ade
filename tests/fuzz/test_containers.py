"""Mutations of every container: the walk returns and accounts for every byte.

`CASEMATE_FUZZ` is the number of mutations over all readers, 20,000 when it is not set. The seed is
fixed; a failure names the sample and the number of the mutation, from which the bytes follow.
"""

import functools
import gzip
import io
import lzma
import os
import random
import time
import zlib

import joblib
import lz4.frame
import numpy as np
import pytest
import torch
import zstandard

from casemate.formats.budget import Budget
from casemate.formats.source import BytesSource
from casemate.records.target import Target
from casemate.scan.walk import Walk
from tests.corpus.inert import HARMLESS, PROTOCOL_0, PROTOCOL_4
from tests.corpus.samples import container_samples

MUTATIONS = int(os.environ.get("CASEMATE_FUZZ", "20000"))
LARGEST = 6000
SECONDS = 20.0
"""CPU for one mutation of a few kilobytes, on a machine that does other things."""
ODD = [
    b"\0",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"\x80\x04",
    b".",
]
ODD += [
    b"\xff" * 4,
    b"\xff" * 8,
    b"\0" * 8,
    b"{",
    b"[",
    b"(",
    b"\n",
    b"\x93NUMPY",
    b"\x1f\x8b\x08",
    PROTOCOL_0,
]


def _torch(legacy):
    out = io.BytesIO()
    made = {"w": torch.zeros(3), "n": torch.ones(2, dtype=torch.int64)}
    torch.save(made, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def _script():
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), out)
    return out.getvalue()


def _joblib(**how):
    out = io.BytesIO()
    joblib.dump({"a": np.arange(5.0), "o": np.array([1, "x"], dtype=object)}, out, **how)
    return out.getvalue()


def _npz():
    out = io.BytesIO()
    np.savez_compressed(out, a=np.arange(5.0), o=np.array([1, None], dtype=object))
    return out.getvalue()


@functools.cache
def seeds():
    """Return the bytes mutations start from, by name, a few dozen of each kind."""
    found = {
        "torch": _torch(False),
        "torch-legacy": _torch(True),
        "torch-script": _script(),
        "joblib": _joblib(),
        "joblib-zlib": _joblib(compress=3),
        "joblib-zfile": b"ZF" + hex(40).ljust(19).encode() + zlib.compress(bytes(40)),
        "npz": _npz(),
        "xz": lzma.compress(PROTOCOL_4),
        "lzma": lzma.compress(PROTOCOL_4, format=lzma.FORMAT_ALONE),
        "lz4": lz4.frame.compress(PROTOCOL_4),
        "zstd": zstandard.compress(PROTOCOL_4),
        "tar.gz": gzip.compress(b"".join((HARMLESS, PROTOCOL_0)), mtime=0),
    }
    for number, sample in enumerate(container_samples()):
        for kind, data in (("bad", sample.bad()), ("good", sample.good())):
            if len(data) <= LARGEST and sample.rule != "archive-bomb":
                found[f"{sample.rule}-{number}-{kind}"] = data
    return found


def mutated(data, rng, others):
    """Return `data` with one to four small accidents."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(8):
            case 0 | 1:
                if at < len(out):
                    out[at] ^= 1 << rng.randrange(8)
            case 2:
                out[at : at + 1] = rng.choice(ODD)
            case 3:
                out[at:at] = rng.choice(ODD)
            case 4:
                del out[at : at + rng.randint(1, 40)]
            case 5:
                out[at : at + 4] = rng.getrandbits(32).to_bytes(4, "little")
            case 6:
                other = rng.choice(others)
                begin = rng.randrange(len(other) + 1)
                out[at:at] = other[begin : begin + rng.randint(1, 200)]
            case 7:
                if rng.random() < 0.3:
                    del out[at:]
    return bytes(out[: 2 * LARGEST])


def walk(data):
    """Scan bytes without the safety net under a file, so that a reader's failure is seen."""
    source = BytesSource(data, "fuzz")
    walk = Walk(Target(kind="artifact", uri="fuzz"), Budget(len(data)), {})
    coverage = walk.read(source)
    assert sum(coverage) == len(data)
    assert min(coverage) >= 0
    assert bool(coverage.refused) <= bool(walk.reasons), "bytes refused without a word"
    return walk


@pytest.mark.parametrize("part", range(20))
def test_no_mutation_breaks_a_reader(part):
    rng = random.Random(part)
    names = sorted(seeds())
    others = list(seeds().values())
    for number in range(MUTATIONS // 20):
        name = names[(number + part) % len(names)]
        data = mutated(seeds()[name], rng, others)
        started = time.process_time()
        try:
            walk(data)
        except Exception as error:
            raise AssertionError(f"{name}, part {part}, mutation {number}: {data!r}") from error
        assert time.process_time() - started < SECONDS, (name, part, number, data)
