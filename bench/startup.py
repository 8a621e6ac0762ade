"""What starting costs: `casemate --help` beside a bare interpreter and the scanners' own help.

    python bench/startup.py

CPU seconds (user and system, children included), minimum of 5 interleaved runs. The bound is five
times bare Python. Peers are measured where bench/scan_peers.py has made their environment.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
BOUND = 5.0


def cpu(command: list[str]) -> float:
    """Return the CPU seconds one run of a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measure, print name, CPU and ratio, and return 1 where the bound is not met."""
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    ours = Path(sys.executable).with_name("casemate")
    for words in (["--help"], ["scan", "--help"], ["explain", "--list"]):
        commands[f"casemate {' '.join(words)}"] = [str(ours), *words]
    for peer in ("picklescan", "modelscan", "fickling"):
        for found in sorted((ROOT / ".venvs").glob(f"*/bin/{peer}")):
            commands[f"{peer} --help"] = [str(found), "--help"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds[name].append(cpu(command))
    bare = min(seconds["python -c pass"])
    for name, runs in seconds.items():
        print(f"{name:<28} {min(runs) * 1000:7.1f} ms CPU   {min(runs) / bare:5.1f} x bare Python")
    return 0 if min(seconds["casemate --help"]) <= BOUND * bare else 1


if __name__ == "__main__":
    sys.exit(main())
