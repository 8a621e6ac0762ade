"""A hundred million events, one attacker among a million principals: how long until it is known.

    python bench/triage.py                       # 5 million events
    python bench/triage.py --events 100000000    # 4 GB of disk

Draws a telemetry folder as a month of guards would leave it (20 models, principals by a power law,
repeats now and then) with a border search of 2,000 queries hidden in it, and triages it twice: told
nothing, and told what a detection says (a model and a time). Prints wall time, CPU seconds, the
most memory of the process and of the one it queries in, and whether the answer is right.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

from telemetry import START, drawn

from casemate.case.triage.report import Focus, triage
from casemate.store.telemetry.query import Telemetry

EVERY, QUERIES = 100, 2000
"""One event in so many is the attacker's while the attack lasts, and how many are."""
DRAW = """
WITH numbered AS (
  SELECT i, i >= {count} * 6 // 10 AND i < {count} * 6 // 10 + {every} * {queries}
    AND i % {every} = 0 AS evil, hash(i, 5) % 50 = 0 AS again
  FROM range({begin}, {end}) t(i)
)
SELECT 'w-' || lpad((i // {each} % 3)::VARCHAR, 16, '0') AS writer, i AS sequence,
  {start} + i * 900 + (hash(i) % 800)::BIGINT AS "at", 'inference' AS kind,
  CASE WHEN evil THEN 'mallory' ELSE
    'user-' || (hash(i, 1) % 1000000 * (hash(i, 1) % 1000) // 1000) END AS principal,
  CASE WHEN evil THEN 'model-7' ELSE 'model-' || (hash(i, 2) % 20) END AS model,
  'v' || (hash(i, 2) % 3) AS version, 'infer' AS route,
  'oip' AS protocol, i::VARCHAR AS request, 200 AS status, 900 + hash(i, 3) % 9000 AS took,
  7000 AS bytes_in, 120 AS bytes_out, md5(i::VARCHAR) AS input_digest, [hash(i, 4)] AS marks,
  CASE WHEN evil THEN 0.9 WHEN again THEN 1.0 ELSE 0.02 END AS near,
  'w-' || lpad((greatest(i - {every}, 0) // {each} % 3)::VARCHAR, 16, '0') || ':'
    || greatest(i - {every}, 0) AS near_to,
  evil OR hash(i, 9) % 20 = 0 AS near_same,
  CASE WHEN evil THEN 0.02 + (hash(i, 9) % 100) / 2000 WHEN again THEN 0.0
    ELSE 0.5 + (hash(i, 9) % 1000) / 1500 END::DOUBLE AS delta,
  CASE WHEN evil THEN 12345 ELSE hash(i, 4) END AS cluster,
  CASE WHEN evil THEN hash(i::VARCHAR) % 2 ELSE hash(i, 7) % 10 END AS label,
  CASE WHEN evil THEN hash(i::VARCHAR) % 2 <> hash((i - {every})::VARCHAR) % 2
    ELSE hash(i, 6) % 10 < 8 END AS flipped,
  ((hash(i, 8) % 1000)::FLOAT / 1000)::DOUBLE AS margin,
  0.2 + (hash(i, 10) % 1000) / 10000.0 AS norm, NULL::VARCHAR AS marked, NULL::VARCHAR AS purpose
FROM numbered
"""


def measured(what, folder, count, focus):
    """Triage once; print what it took and whether it is right."""
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    wall = time.monotonic()
    found = triage(Telemetry(folder), focus=focus)
    wall = time.monotonic() - wall
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime
              for a, b in zip(before, after, strict=True))  # fmt: skip
    began = START + count * 6 // 10 * 900
    right = (
        [one.principal for one in found.suspects] == ["mallory"]
        and found.guesses[0].threat == "adversarial-perturbation"
        and found.began is not None
        and abs(found.began - began) < 100_000
        and found.queries == QUERIES
    )
    memory = [one.ru_maxrss / 2**20 for one in after]
    print(
        f"{what:28s} {found.looked_at:>13,} events {wall:7.1f} s wall {cpu:7.1f} s CPU "
        f"{memory[0]:5.2f} + {memory[1]:5.2f} GiB  {'right' if right else 'WRONG'}: "
        f"{found.assessment}, {found.guesses[0].threat} {found.guesses[0].share:.2f}, "
        f"{', '.join(one.principal for one in found.suspects[:3])}",
        flush=True,
    )


def alone(*given):
    """Measure in a process of its own, whose memory is then that of triage."""
    process = multiprocessing.get_context("spawn").Process(target=measured, args=given)
    process.start()
    process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--each", type=int, default=1_000_000, help="events of a segment")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    count = max(args.events, 1_000_000)
    root = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        draw = DRAW.replace("{every}", str(EVERY)).replace("{queries}", str(QUERIES))
        wall = time.monotonic()
        folder, size = drawn(root, count, args.each, draw)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {count:,} events, "
              f"{size / 1e9:.2f} GB, drawn in {time.monotonic() - wall:.0f} s")  # fmt: skip
        alone("told nothing", folder, count, Focus())
        middle = START + count * 6 // 10 * 900
        since = middle - 3600 * 1_000_000
        until = middle + EVERY * QUERIES * 900 + 3600 * 1_000_000
        alone("told a model and two hours", folder, count, Focus("model-7", (), since, until))
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
