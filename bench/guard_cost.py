"""CPU that full detection adds to one request, part by part, beside a plain Python check.

    python bench/guard_cost.py [--batches 40] [--profile json]

Two kinds of traffic, every input another one: 28 x 28 floats as JSON (about 7 kB) and 3 x 224 x 224
FP32 as OIP binary (602 kB), answered with ten scores. Measured is what a request costs inside a
model server besides the server: reading the body, principal, route, fingerprint, index, the answer,
digests, the event, the journal with its thread and its fsync. CPU seconds of the whole process,
the best batch of many, as the machine may be busy; the journal's thread is in the total alone.

The peers check the same bytes with no record, no principal and no strictness: JSON by orjson (or
the raw bytes), then the fingerprint of Blacklight (Li et al., USENIX Security 2022) as its authors
write it, quantise and SHA-256 of every window, and the same windows hashed by numpy as a whole.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import json
import os
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

KINDS = {"json": (1, 28, 28), "binary": (3, 224, 224)}
NAMES = {"json": "28x28 JSON, 7 kB", "binary": "3x224x224 FP32, 602 kB"}
AIM = {"json": 60.0, "binary": 1200.0}
BATCH = {"json": 16, "binary": 4}
WARM = 6
"""Requests before each batch that are not counted: making the traffic has emptied the caches."""
JSON = (("content-type", "application/json"), ("host", "models.example"), ("accept", "*/*"))
PATH = "/v2/models/digits/infer"


def pictures(rng, shape, n):
    """Smooth pictures with a little noise, each another one."""
    coarse = rng.random((n, shape[0], 8, 8), np.float32)
    each = -(-shape[1] // 8)
    wide = coarse.repeat(each, 2).repeat(each, 3)[:, :, : shape[1], : shape[2]]
    return np.clip(wide + 0.05 * rng.standard_normal(wide.shape, np.float32), 0, 1)


def calls(rng, kind, n, call):
    """Return requests; every fourth is of the same caller."""
    made = []
    for i, x in enumerate(pictures(rng, KINDS[kind], n)):
        who = (("x-user", f"user-{i % 4}"),)
        if kind == "json":
            data = [round(float(one), 6) for one in x.ravel()]
            head = {"name": "x", "shape": [1, 28, 28], "datatype": "FP32", "data": data}
            body = json.dumps({"inputs": [head]}, separators=(",", ":")).encode()
            headers = (*JSON, ("content-length", str(len(body))), *who)
        else:
            raw = x.tobytes()
            head = {"name": "x", "shape": [1, 3, 224, 224], "datatype": "FP32"}
            head["parameters"] = {"binary_data_size": len(raw)}
            text = json.dumps({"inputs": [head]}).encode()
            body = text + raw
            headers = (
                ("content-type", "application/octet-stream"), ("host", "models.example"),
                ("inference-header-content-length", str(len(text))),
                ("content-length", str(len(body))), *who,
            )  # fmt: skip
        made.append(call("POST", PATH, "", headers, body, "192.0.2.7", time.time_ns() // 1000))
    return made


def answer(rng, reply):
    scores = rng.dirichlet(np.ones(10)).astype(np.float32)
    outputs = [{"name": "scores", "shape": [1, 10], "datatype": "FP32", "data": scores.tolist()}]
    body = json.dumps({"model_name": "digits", "outputs": outputs}).encode()
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return reply(200, headers, body)


# --- the guard -------------------------------------------------------------------------------


class Timed:
    """Something whose methods' CPU is added up by name."""

    def __init__(self, inner, spent):
        self._inner, self._spent = inner, spent

    def __getattr__(self, name):
        found, spent = getattr(self._inner, name), self._spent

        def timed(*args, **kwargs):
            began = time.thread_time_ns()
            made = found(*args, **kwargs)
            spent[name] += time.thread_time_ns() - began
            return made

        return timed


def guard_of(folder, judged=lambda judge: judge):
    from casemate.detect.inline.judge import InlineJudge
    from casemate.guard.guard import Guard
    from casemate.guard.keys import Keys
    from casemate.guard.policy import GuardTable, PrincipalTable
    from casemate.store.telemetry.journal import Journal

    keys = Keys(hashlib.sha512(b"bench").digest())
    judge = InlineJudge(keys.derive("fingerprints"))
    judge.warm()
    journal = Journal(Path(folder), "w-" + os.urandom(8).hex())
    policy = GuardTable(principal=PrincipalTable(header="x-user"))
    return Guard(policy, keys=keys, judge=judged(judge), writer=journal.writer), journal


def whole(kind, batches):
    """Return microseconds of CPU per request, all in, best batch; through the shell's own desk."""
    from casemate.guard.call import Call, Reply
    from casemate.guard.desk import Desk

    rng = np.random.default_rng(1)
    best = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        guard, journal = guard_of(folder)
        desk = Desk(guard, journal.append)
        for _ in range(batches):
            asked = calls(rng, kind, WARM + BATCH[kind], Call)
            pairs = [(call, answer(rng, Reply)) for call in asked]
            for call, reply in pairs[:WARM]:
                desk.answer(desk.ask(call), reply)
            journal.flush()
            began = time.process_time_ns()
            for call, reply in pairs[WARM:]:
                desk.answer(desk.ask(call), reply)
            best = min(best, (time.process_time_ns() - began) / BATCH[kind])
        assert guard.failures == 0
        journal.close()
    return best / 1e3


def parts(kind, batches):
    """Return microseconds of this thread's CPU per part of a request, best batch of each part."""
    from casemate.guard.call import Call, Reply

    rng = np.random.default_rng(2)
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        spent: dict[str, float] = defaultdict(float)
        guard, journal = guard_of(folder, lambda judge: Timed(judge, spent))
        door = Timed(guard, spent)
        for _ in range(batches):
            asked = calls(rng, kind, WARM + BATCH[kind], Call)
            pairs = [(call, answer(rng, Reply)) for call in asked]
            for number, (call, reply) in enumerate(pairs):
                if number == WARM:
                    spent.clear()
                found = door.answer(door.ask(call), reply, call.at + 1000)
                began = time.thread_time_ns()
                journal.append(found.events)
                spent["append"] += time.thread_time_ns() - began
            row = {
                "read the request": spent["ask"] - spent["look"],
                "fingerprint and index": spent["look"],
                "read the answer, digests, event": spent["answer"] - spent["weigh"],
                "weigh the answer": spent["weigh"],
                "append to the journal": spent["append"],
            }
            for name, value in row.items():
                best[name] = min(best.get(name, float("inf")), value / BATCH[kind] / 1e3)
        journal.close()
    return best


# --- peers -----------------------------------------------------------------------------------


def read_plainly(kind, call):
    import orjson

    if kind == "json":
        return np.array(orjson.loads(call.body)["inputs"][0]["data"], np.float32)
    head = int(dict(call.headers)["inference-header-content-length"])
    orjson.loads(call.body[:head])
    return np.frombuffer(call.body, np.float32, offset=head)


def textbook(x, window, step):
    levels = (x * 255 // 50).astype(np.uint8)
    spans = range(0, len(levels) - window, step)
    hashes = [hashlib.sha256(levels[i : i + window].tobytes()).hexdigest() for i in spans]
    return sorted(hashes)[:50]


def vectorised(x, powers, step):
    levels = (x * 255 // 50).astype(np.uint64)
    spans = np.lib.stride_tricks.sliding_window_view(levels, len(powers))[::step]
    return np.partition(spans @ powers, 50)[:50]


def peers(kind, batches):
    from casemate.guard.call import Call

    rng = np.random.default_rng(3)
    window, step = (20, 1) if kind == "json" else (50, 10)
    powers = np.array([pow(0x9E3779B97F4A7C15, i, 1 << 64) for i in range(window)], np.uint64)
    index: dict[object, int] = {}

    def check(call, hashes):
        found: dict[int, int] = defaultdict(int)
        for one in hashes:
            found[index.setdefault(one, call.at)] += 1
        return max(found.values())

    ways = {
        "orjson and numpy, no check": lambda call: read_plainly(kind, call),
        "... and windows hashed by numpy": lambda call: check(
            call, vectorised(read_plainly(kind, call), powers, step).tolist()
        ),
        "... and Blacklight as written": lambda call: check(
            call, textbook(read_plainly(kind, call), window, step)
        ),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(batches):
        asked = calls(rng, kind, BATCH[kind], Call)
        for name, way in ways.items():
            for call in asked[:2]:
                way(call)
            began = time.process_time_ns()
            for call in asked:
                way(call)
            best[name] = min(best[name], (time.process_time_ns() - began) / len(asked) / 1e3)
    return best


def profile(kind):
    from casemate.guard.call import Call, Reply

    rng = np.random.default_rng(4)
    with tempfile.TemporaryDirectory() as folder:
        guard, journal = guard_of(folder)
        asked = calls(rng, kind, 10 * BATCH[kind], Call)
        replies = [answer(rng, Reply) for _ in asked]
        run = cProfile.Profile()
        run.enable()
        for call, reply in zip(asked, replies, strict=True):
            journal.append(guard.answer(guard.ask(call), reply, call.at + 1000).events)
        run.disable()
        journal.close()
    pstats.Stats(run).sort_stats("tottime").print_stats(70)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=150)
    parser.add_argument("--only", choices=tuple(KINDS))
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--profile", choices=tuple(KINDS))
    given = parser.parse_args()
    if given.profile:
        profile(given.profile)
        return
    for kind, name in NAMES.items():
        if given.only not in (None, kind):
            continue
        all_in = whole(kind, given.batches)
        print(f"\n{name}: microseconds of CPU per request")
        for part, took in parts(kind, given.batches).items():
            print(f"  {part:<36}{took:10.1f}")
        print(f"  {'casemate, all in':<36}{all_in:10.1f}   aim {AIM[kind]:.0f}")
        if given.no_peers:
            continue
        for peer, took in peers(kind, max(4, given.batches // 4)).items():
            print(f"  {peer:<36}{took:10.1f}   {took / all_in:.1f} x")


if __name__ == "__main__":
    main()
