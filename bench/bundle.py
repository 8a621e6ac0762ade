"""Evidence bundles: what is caught, what a million items and a huge one cost, how small a proof is.

    python bench/bundle.py                        about half an hour, 12 GB of disk
    python bench/bundle.py --mutations 2000 --items 50000 --large 1

Mutations are made by somebody who can write the whole bundle, and mend every checksum that needs no
key, but has not the key; the verifier has the public key and the checkpoints that a second place
keeps. Caught: the answer is `changed`. Named: a fault of the right kind names what was tampered
with. CPU seconds, since wall time depends on the disk and on who else computes.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.case.verifier import mutations
from tests.workflows.bundled import case

from casemate.case.bundle.piece import Piece
from casemate.case.bundle.proving import prove_item
from casemate.case.bundle.writing import Writer
from casemate.case.verifier.one_file import NAME
from casemate.case.verifier.program import check
from casemate.workflows.verifying import _key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RAW = KEY.public_key().public_bytes_raw()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10, help="GiB of one item")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where bundles are written")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        if args.mutations:
            tamper(Path(folder), args.mutations, args.seed)
        if args.large:
            large(Path(folder), args.large)
        if args.items:
            many(Path(folder), args.items)


def tamper(folder, count, seed):
    sets, key, witness = bundles(folder)
    stage = mutations.Stage(folder / "stage")
    assert check(stage.put(sets.files), [key], (), witness).answer == "whole"
    tried, caught, named = {}, {}, {}
    began = time.process_time()
    for number in range(count):
        way = mutations.WAYS[number % len(mutations.WAYS)]
        name = way.__name__
        tampered = way(random.Random(f"{seed} {number}"), sets)
        found = check(stage.put(tampered.files), [key], (), witness)
        faults = [one for one in found.faults if one.kind in tampered.kinds]
        right = any(tampered.named in f"{one.where} {one.what}" for one in faults)
        tried[name] = tried.get(name, 0) + 1
        caught[name] = caught.get(name, 0) + (found.answer == "changed")
        named[name] = named.get(name, 0) + right
        if found.answer != "changed" or not right:
            print(f"  {name} {number}: {found.answer}, {found.faults[:3]}")
    spent = time.process_time() - began
    print(f"{'mutation':30}{'tried':>8}{'caught':>8}{'named':>8}")
    for name, tries in tried.items():
        print(f"{name:30}{tries:8}{caught[name]:8}{named[name]:8}")
    print(f"{'all ' + str(len(tried)) + ' kinds':30}{count:8}{sum(caught.values()):8}"
          f"{sum(named.values()):8}   {spent:.0f} CPU s\n")  # fmt: skip


def bundles(folder):
    with pytest.MonkeyPatch.context() as patch:
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        made = case(folder / "one", patch)
        older = made.bundle("older")
        made.note("between them")
        newer = made.bundle("newer", withhold=["artifacts/*.bin"])
        made.workspace.close()
        other = case(folder / "two", patch)
        patch.setenv("CASEMATE_KEYS", str(folder / "one" / "keys"))
        third = other.bundle("other")
        other.workspace.close()
    witness = (made.folder / "bundles" / "checkpoints").read_bytes()
    sets = mutations.Set(*(mutations.read(one.folder) for one in (newer, older, third)))
    return sets, _key(newer.key), witness


def many(folder, count):
    out = folder / "many"
    began = time.process_time()
    with Writer(out, "case-2026-0001") as writer:
        for number in range(count):
            name = f"items/rows/{number // 1000:04d}/{number % 1000:03d}.json"
            writer.add(Piece(name=name, kind="record", producer="record", data=b"%d\n" % number))
        writer.finish(KEY, by="ada", tool="bench")
    print(f"{count} items: packed in {time.process_time() - began:.1f} CPU s")
    verified(out)
    began = time.process_time()
    proof = prove_item(out, f"items/rows/{(count - 1) // 1000:04d}/{(count - 1) % 1000:03d}.json")
    spent = time.process_time() - began
    print(f"  proof of one of them: {len(proof)} bytes, made in {spent:.1f} CPU s")
    shutil.rmtree(out)


def large(folder, gib):
    source = folder / "weights.bin"
    with source.open("wb") as file:
        for number in range(gib):
            file.seek(number << 30)
            file.write(os.urandom(1 << 20))
        file.truncate(gib << 30)
    piece = Piece(
        name="items/weights.bin", kind="artifact", producer="artifact", file=source, size=gib << 30
    )
    began = time.process_time()
    with Writer(folder / "large", "case-2026-0001") as writer:
        writer.add(piece)
        writer.finish(KEY, by="ada", tool="bench")
    print(f"one item of {gib} GiB, sparse: packed in {time.process_time() - began:.1f} CPU s")
    verified(folder / "large")


def verified(out):
    """Verify with the file that lies in the bundle, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-I", "-S", out / NAME, out, "--key", out / "seal" / "case.pub"]
    done = subprocess.run(words, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer = done.stdout.splitlines()[-4] if done.returncode == 0 else done.stdout[-500:]
    print(f"  verified: {answer}, {spent:.1f} CPU s, at most {after.ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main()
