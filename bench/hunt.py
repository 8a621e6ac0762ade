"""A million rows of a KServe log: how long until it is known who attacked, since when, how sure.

    python bench/hunt.py                       # a million lines, half a million requests
    python bench/hunt.py --lines 100000

Writes three logs (an extractor hidden among 3,000 users; nobody; a population that moves), imports
each and hunts in it, as a user would, on the command line. Prints wall and CPU seconds (of the
command and the process it reads with), the verdict, and for the first log whether principal and
first query are right. Wall time is that of the machine as it is; CPU seconds hold on a busy one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.corpus.kserve_log import EXTRACTOR, write  # noqa: E402

LOGS = {
    "extractor": ({"extractor": 0.01}, "attack"),
    "clean": ({}, "no attack"),
    "drift": ({"drift": 1.0}, "drift"),
}


def timed(folder, *words):
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "casemate", *words, "--format", "json", "--quiet"],
        cwd=folder,
        env={**os.environ, "CASEMATE_KEYS": str(folder / "keys"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout), time.monotonic() - wall, cpu, done.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--only", choices=LOGS)
    args = parser.parse_args()
    head = "log         lines      MB  import s (cpu)   detect s (cpu)   total s  verdict"
    print(f"{head}\n{'-' * len(head)}")
    for name in LOGS if args.only is None else (args.only,):
        more, wanted = LOGS[name]
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            log = folder / "log.jsonl"
            hidden = write(log, args.lines // 2, users=3000, seed=11, **more)
            size = log.stat().st_size / 1e6
            imported, wall, cpu, _ = timed(
                folder, "import", "log.jsonl", "--as", "kserve", "--principal", "header:X-User"
            )
            found, wall_too, cpu_too, code = timed(folder, "detect")
            right = "as it should be" if found["verdict"] == wanted else f"WRONG, {wanted}"
            print(
                f"{name:10} {imported['records']:>7,} {size:>7.0f} {wall:>7.0f} ({cpu:.0f})"
                f" {wall_too:>12.0f} ({cpu_too:.0f}) {wall + wall_too:>12.0f}  {found['verdict']}"
                f" ({right}), exit {code}"
            )
            attacks = [one for one in found["detections"] if one["conclusion"] == "attack"]
            for one in attacks:
                known = one["first"]["known"]["source"] if one["first"] else "?"
                print(
                    f"    {one['rule']}: {', '.join(one['principals'])}, first query {known},"
                    f" noticed at its query {one['first_query']}, confidence {one['confidence']}"
                )
            if hidden["queries"]:
                print(
                    f"    hidden was: {EXTRACTOR}, first query log.jsonl:{hidden['first']},"
                    f" {hidden['queries']:,} queries"
                )


if __name__ == "__main__":
    main()
