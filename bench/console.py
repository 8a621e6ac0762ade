"""Console: how long a page takes, over many events, cold and again.

    python bench/console.py                        a few minutes, 5 million events
    python bench/console.py --events 100000000     an hour, and about 8 GB of disk

Pages are asked for over HTTP from a console in this process, as a browser asks: the page itself,
and the parts that it fetches later. Each principal is asked about once, so that nothing is
remembered of them. Wall time depends on who else computes; CPU seconds of the console besides.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import telemetry
from tests.console.scene import Scene, console

from casemate.records.incident import Guess, Incident, Suspect, Triage
from casemate.records.make import make
from casemate.records.severity import Confidence, Severity
from casemate.store.cases import CaseBook
from casemate.store.workspace import Workspace
from casemate.workflows import config, custody

HOUR = 3_600_000_000
ASKED = "principal: all events"
"""What nobody waits for unless they ask for it by a button."""


def told(root, began, ended):
    """Return a workspace whose latest case was an attack of ten principals within an hour."""
    workspace = Workspace.open(root / ".casemate")
    now = datetime.now(UTC)
    names = [f"user-{number}" for number in range(100, 110)]
    triage = Triage(
        assessment="attack", confidence=Confidence.FIRM, models=("model-7",), began=began,
        ended=ended, queries=1000,
        guesses=(Guess(threat="model-stealing", share=0.9, because="many queries"),),
        suspects=tuple(
            Suspect(
                principal=name, queries=100, began=began, ended=ended, because="much",
                confidence=Confidence.FIRM,
            )
            for name in names
        ),
        events=tuple(f"w-{0:016d}:{number}" for number in range(64)),
    )  # fmt: skip

    def begin(ident):
        incident = make(
            Incident, id=ident, title="measured", severity=Severity.IMPORTANT, opened=now,
            opened_by="bench", aware=custody.moment(ended), triage=triage,
        )  # fmt: skip
        return incident, custody.action("bench", "opened", "opened", case=ident)

    case = CaseBook(workspace).open(now.year, begin)
    return Scene(root, config.read(root / "casemate.toml"), workspace, case.id, "", tuple(names))


def pages(case, rng):
    """Yield what a page is called, and its address; `again` is asked a second time at once."""
    name = f"user-{rng.randrange(1_000_000)}"
    yield "now", "/now"
    yield "now: the last hour", "/pulse"
    yield "cases", "/cases"
    yield "case", f"/cases/{case}"
    yield "case: timeline", f"/cases/{case}/timeline"
    yield "case: inputs", f"/cases/{case}/inputs"
    yield "principal", f"/principal?name={name}"
    yield "principal: newest events", f"/principal/record?name={name}"
    yield "principal: newest, again", f"/principal/record?name={name}"
    yield "models", "/models"
    yield "guard", "/guard"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--each", type=int, default=1_000_000, help="events of a segment")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=args.folder))
    now = time.time_ns() // 1000
    telemetry.START = now - args.events * 900
    try:
        (root / "casemate.toml").write_text("version = 1\n")
        folder, size = telemetry.drawn(root, args.events, args.each)
        (root / ".casemate").mkdir()
        folder.rename(root / ".casemate" / "telemetry")
        made = told(root, now - 2 * HOUR, now - HOUR)
        print(
            f"{args.events:,} events in {args.events // args.each} segments, {size / 1e9:.1f} GB; "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n",
            flush=True,
        )
        took, spent = {}, {}
        rng = random.Random(0)
        with console(made) as served, httpx.Client(timeout=600, trust_env=False) as asking:
            url = served.url.replace("127.0.0.1", "localhost")
            asking.post(f"{url}/sign-in", data={"key": served.link.fresh()})
            for _ in range(args.rounds):
                for name, path in pages(made.case, rng):
                    began, cpu = time.perf_counter(), time.process_time()
                    found = asking.get(url + path)
                    assert found.status_code == 200, (path, found.text[:500])
                    took.setdefault(name, []).append(time.perf_counter() - began)
                    spent.setdefault(name, []).append(time.process_time() - cpu)
            for _ in range(3):
                path = f"/principal/record?all=yes&name=user-{rng.randrange(1_000_000)}"
                began, cpu = time.perf_counter(), time.process_time()
                assert asking.get(url + path).status_code == 200
                took.setdefault(ASKED, []).append(time.perf_counter() - began)
                spent.setdefault(ASKED, []).append(time.process_time() - cpu)
        made.workspace.close()
        print(f"{'page':<28}{'first':>9}{'median':>9}{'p95':>9}{'worst':>9}{'CPU mean':>10}   s")
        for name, times in took.items():
            p95 = statistics.quantiles(times, n=20)[-1]
            print(
                f"{name:<28}{times[0]:>9.3f}{statistics.median(times):>9.3f}{p95:>9.3f}"
                f"{max(times):>9.3f}{statistics.mean(spent[name]):>10.3f}"
            )
        del took[ASKED]
        every = [one for times in took.values() for one in times]
        p95 = statistics.quantiles(every, n=20)[-1]
        print(f"\np95 over all pages and their parts: {p95:.3f} s wall")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
