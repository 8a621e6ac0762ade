"""Telemetry: what an event costs to append, to seal, to keep, to verify and to ask for.

    python bench/telemetry.py                     a few minutes
    python bench/telemetry.py --events 100000000  hours, and about 15 GB of disk

Append and seal run on `--appended` events made as a guard makes them. The queries run on `--events`
events whose segments are drawn by DuckDB in the same columns and encodings, since to append as many
one by one would take longer than to ask. CPU seconds, since wall time depends on who else computes.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from tests.store.telemetry.samples import START, WRITER, events

from casemate.store.telemetry import leaves as log
from casemate.store.telemetry.columns import COLUMNS, form, schema
from casemate.store.telemetry.durable import append
from casemate.store.telemetry.journal import Journal
from casemate.store.telemetry.keys import signing_key
from casemate.store.telemetry.query import Telemetry
from casemate.store.telemetry.seal import seal
from casemate.store.telemetry.segment import encodings
from casemate.store.telemetry.sink import Filter
from casemate.store.telemetry.verify import verify


def cpu():
    return sum(
        getattr(resource.getrusage(who), name)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for name in ("ru_utime", "ru_stime")
    )


def timed(work):
    began, spent = time.perf_counter(), cpu()
    result = work()
    return result, cpu() - spent, time.perf_counter() - began


def line(what, figure, unit, note=""):
    print(f"{what:<46}{figure:>12,.2f} {unit:<14}{note}", flush=True)


def without_marks(batch):
    bare = {"marks": (), "near": None, "delta": None, "norm": None}
    return [
        msgspec.structs.replace(e, measures=msgspec.structs.replace(e.measures, **bare))
        for e in batch
    ]


def appended(root, count):
    for name, batch in (("whole", events(count)), ("no marks", without_marks(events(count)))):
        folder = root / f"appended {name}"
        journal = Journal(folder, WRITER)

        def one_by_one(journal=journal, batch=batch):
            began = time.thread_time()
            for event in batch:
                journal.append((event,))
            spent = time.thread_time() - began
            journal.flush()
            return spent

        on_path, all_cpu, wall = timed(one_by_one)
        journal.close()
        line(f"append, {name}: on the caller's path", on_path / count * 1e6, "us/event CPU")
        line(f"append, {name}: with the writing thread", all_cpu / count * 1e6, "us/event CPU")
        line(f"append, {name}: durable", count / wall, "events/s", "one process, wall time")
        key = signing_key(root / "log.pem", folder)
        _, spent, _ = timed(lambda folder=folder, key=key: seal(folder, key))
        line(f"seal, {name}", count / spent, "events/CPU-s", "signed, every event in the tree")
        size = sum(path.stat().st_size for path in (folder / "segments").iterdir())
        line(f"sealed, {name}", size / count, "bytes/event")
        if name == "whole":
            _, spent, _ = timed(lambda folder=folder: verify(folder, events=True))
            line("verify with every event hashed", count / spent, "events/CPU-s")
            query = Telemetry(folder)
            _, spent, _ = timed(lambda query=query: sum(1 for _ in query.scan(Filter())))
            line("scan", count / spent, "events/CPU-s", "as Event, in order of time")


DRAW = """
SELECT 'w-' || lpad((i // {each} % 3)::VARCHAR, 16, '0') AS writer, i AS sequence,
  {start} + i * 900 + (hash(i) % 800)::BIGINT AS "at", 'inference' AS kind,
  'user-' || (hash(i, 1) % 1000000 * (hash(i, 1) % 1000) // 1000) AS principal,
  'model-' || (hash(i, 2) % 20) AS model, 'v' || (hash(i, 2) % 3) AS version, 'infer' AS route,
  'oip' AS protocol, i::VARCHAR AS request, 200 AS status, 900 + hash(i, 3) % 9000 AS took,
  7000 AS bytes_in, 120 AS bytes_out, md5(i::VARCHAR) AS input_digest,
  [hash(i, 4)] AS marks, CASE WHEN hash(i, 5) % 50 = 0 THEN 1.0 ELSE 0.02 END AS near,
  CASE WHEN hash(i, 5) % 50 = 0 THEN hash(i, 6) % 5000 ELSE hash(i, 4) END AS cluster,
  hash(i, 7) % 10 AS label, ((hash(i, 8) % 1000)::FLOAT / 1000)::DOUBLE AS margin
FROM range({begin}, {end}) t(i)
"""
"""Users by a power law, one mark, one digest: the event of the published comparison."""


def drawn(root, count, each, draw=DRAW):
    """Make a telemetry of `count` events, a leaf for each segment; return its folder and size."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = root / "drawn"
    (folder / "segments").mkdir(parents=True)
    (folder / "log").mkdir()
    connection = duckdb.connect(config={"threads": 2})
    size = 0
    for number, begin in enumerate(range(0, count, each)):
        end = min(begin + each, count)
        text = draw.format(start=START, begin=begin, end=end, each=each, count=count)
        table = connection.sql(text).to_arrow_table()
        columns = []
        for field in schema():
            if field.name in table.column_names:
                columns.append(table[field.name].cast(field.type))
            else:
                empty = {"int64": 0, "string": "", "bool": False}.get(str(field.type))
                empty = [] if str(field.type).startswith("list") else empty
                columns.append(pa.repeat(pa.scalar(empty, field.type), len(table)))
        path = folder / "segments" / f"{number:010d}.parquet"
        with pq.ParquetWriter(path, schema(), compression="zstd", **encodings()) as file:
            file.write_table(pa.table(columns, schema=schema()), row_group_size=131_072)
        size += path.stat().st_size
        leaf = log.Segment(
            number=number, bytes=path.stat().st_size, sha256=file_sha(path), root="", form=form(),
            events=end - begin, began=START + begin * 900, ended=START + end * 900,
            sealed=START, spans=(),
        )  # fmt: skip
        append(folder / "log" / "leaves.jsonl", log.line(leaf) + b"\n")
    connection.close()
    return folder, size


def file_sha(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


QUESTIONS = {
    "timeline of one principal": (
        "SELECT id, time, label, margin FROM events WHERE principal = 'user-4242' "
        "ORDER BY time LIMIT 1000"
    ),
    "near-duplicate senders in 5 min, everything": (
        "SELECT time_bucket(INTERVAL 5 MINUTE, time) AS t, principal, count(*) AS n FROM events "
        "WHERE near > 0.5 GROUP BY ALL HAVING n > 20 ORDER BY n DESC LIMIT 100"
    ),
    "who else sent these 2000 clusters": (
        "SELECT principal, count(*) AS n FROM events WHERE cluster IN "
        "(SELECT range FROM range(2000)) GROUP BY ALL ORDER BY n DESC LIMIT 100"
    ),
    "one model, one hour": (
        "SELECT label, count(*), avg(margin) FROM events WHERE model = 'model-7' "
        f'AND "at" BETWEEN {START + 3_600_000_000} AND {START + 7_200_000_000} GROUP BY ALL'
    ),
    "p99 latency per model": "SELECT model, approx_quantile(took, 0.99) FROM events GROUP BY ALL",
}


def asked(folder, count):
    query = Telemetry(folder, isolated=False, memory="6GB", seconds=600)
    for name, text in QUESTIONS.items():
        runs = [timed(lambda text=text: query.sql(text)) for _ in range(2)]
        (_, rows), spent, wall = min(runs, key=lambda run: run[2])
        line(name, wall, "s wall", f"{spent:.2f} s CPU, {len(rows)} rows of {count:,} events")


def verified(folder, size):
    _, spent, wall = timed(lambda: verify(folder))
    line("verify, files against the log", size / spent / 1e9, "GB/CPU-s", f"{wall:.1f} s wall")
    with tempfile.NamedTemporaryFile() as file:
        file.write(random.Random(0).randbytes(1 << 26))
        file.flush()
        _, spent, _ = timed(lambda: file_sha(Path(file.name)))
    line("  SHA-256 alone, for scale", (1 << 26) / spent / 1e9, "GB/CPU-s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--appended", type=int, default=200_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--each", type=int, default=1_000_000, help="events of a segment")
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {len(COLUMNS)} columns\n")
        appended(root, args.appended)
        (folder, size), spent, _ = timed(lambda: drawn(root, args.events, args.each))
        print()
        line("drawn segments", size / args.events, "bytes/event", f"made in {spent:.0f} s CPU")
        verified(folder, size)
        asked(folder, args.events)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
