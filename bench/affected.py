"""Am I affected? Precision and recall on seeded environments, and the time for many models.

    python bench/affected.py [--environments 200] [--models 1000] [--seed 2]

Environments are folders as pip leaves them, with packages at, before, after and around the ends of
the advisories' ranges; the truth is worked out with the `packaging` library. Models are pickles,
scanned and held by their digests against a hundred tracked weaknesses.
"""

from __future__ import annotations

import argparse
import pickle
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from casemate.records.vulnerability import Affected, Vulnerability
from casemate.scan import scan
from casemate.vuln import applies, inventory
from casemate.vuln.advisories import published
from casemate.vuln.inventory import Thing

if TYPE_CHECKING:
    from casemate.vuln.advisories import Notice


def environment(folder: Path, versions: dict[str, str]) -> None:
    site = folder / "lib" / "python3.11" / "site-packages"
    for name, version in versions.items():
        place = site / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )


def truth(notice: Notice, version: str) -> bool:
    mine = Version(Version(version).public)
    for events in notice.packages[0].ranges:
        ends = {one.kind: one.version for one in events}
        begun = ends["introduced"] == "0" or mine >= Version(ends["introduced"])
        over = "fixed" in ends and mine >= Version(ends["fixed"])
        past = "last_affected" in ends and mine > Version(ends["last_affected"])
        if begun and not over and not past:
            return True
    return False


def environments(count: int, rng: random.Random) -> None:
    notices = published()
    ends = {
        notice.packages[0].name: {
            it.version for events in notice.packages[0].ranges for it in events
        }
        for notice in notices
    }
    said_right = said_wrong = missed = 0
    spent = 0.0
    with tempfile.TemporaryDirectory() as root:
        for number in range(count):
            versions = {"numpy": "2.0.0"}
            for name in rng.sample(sorted(ends), rng.randint(0, len(ends))):
                near = rng.choice(sorted(ends[name] - {"0"}))
                forms = (near, f"{near}.post1", f"{near}.dev1", "0.0.1", "99.0", f"{near}+cpu")
                versions[name] = rng.choice(forms)
            folder = Path(root) / str(number)
            environment(folder, versions)
            start = time.process_time()
            found = applies.to_packages(notices, inventory.environment(folder))
            spent += time.process_time() - start
            said = {one.vulnerability for one in found if one.product.status == "affected"}
            want = {
                one.id
                for one in notices
                if one.packages[0].name in versions and truth(one, versions[one.packages[0].name])
            }
            said_right += len(said & want)
            said_wrong += len(said - want)
            missed += len(want - said)
    precision = said_right / max(1, said_right + said_wrong)
    recall = said_right / max(1, said_right + missed)
    print(f"{count} environments, {len(notices)} advisories: {said_right} affected")
    print(f"precision {precision:.4f}  recall {recall:.4f}  CPU {1000 * spent / count:.1f} ms each")


def models(count: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        for number in range(count):
            body = pickle.dumps({"weights": [float(number)] * 1000})
            (Path(root) / f"model-{number}.pkl").write_bytes(body)
        start, cpu = time.perf_counter(), time.process_time()
        report = scan([root], root=Path(root), digest=True)
        things = [
            Thing("file", one.target.uri, "scanned", digest=one.target.digest)
            for one in report.verdicts
        ]
        now = datetime(2026, 11, 1, tzinfo=UTC)
        tracked = [
            Vulnerability(
                id=f"cmv-2026-{number:04d}",
                title="x",
                threat="data-poisoning",
                state="confirmed",
                opened=now,
                changed=now,
                affected=(Affected(name="elsewhere", digests=(str(thing.digest),)),),
            )
            for number, thing in enumerate(things[::10])
        ]
        found = applies.to_tracked(tracked, things)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    told = f"{count} models, {len(tracked)} tracked: {len(found)} affected"
    print(f"{told}, wall {wall:.1f} s, CPU {cpu:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, default=200)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    environments(args.environments, random.Random(args.seed))
    models(args.models)


if __name__ == "__main__":
    main()
