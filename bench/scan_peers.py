"""casemate scan beside picklescan and modelscan: what each finds, where it cries wolf, its cost.

    python bench/scan_peers.py [--every 1] [--rounds 5] [--size 1024] [--skip detection|cost]

Each tool runs as its users run it, one process per file. Detection: hostile files that fail a build
(casemate: findings at or above important, or a verdict of incomplete, counted apart; the peers:
exit code 1). Cost: CPU seconds of the process and its children, minimum of interleaved rounds, on a
small pickle, a checkpoint and a safetensors file of `--size` MiB, and a joblib file of half that.
The peers live in .venvs/peers-scan, which this script makes.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venvs" / "peers-scan"
PINS = ["picklescan==1.0.5", "modelscan==0.8.8", "fickling==0.1.12", "typing_extensions"]
CASEMATE = [str(Path(sys.executable).with_name("casemate")), "scan", "--no-store", "--quiet"]


def prepare() -> dict[str, list[str]]:
    """Make the peers' environment once; return each tool's command."""
    tools = PEERS / "bin"
    if not (tools / "modelscan").exists():
        venv.create(PEERS, with_pip=True)
        pip = [
            str(tools / "python"),
            "-m",
            "pip",
            "install",
            "-q",
            "-c",
            str(ROOT / "constraints.txt"),
        ]
        subprocess.run([*pip, *PINS], check=True)
    return {
        "casemate": [*CASEMATE, "--format", "json"],
        "picklescan": [str(tools / "picklescan"), "-p"],
        "picklescan --strict": [str(tools / "picklescan"), "--strict", "-p"],
        "modelscan": [str(tools / "modelscan"), "-p"],
        "fickling": [str(tools / "fickling"), "--check-safety", "-p"],
    }


def verdict(tool: str, command: list[str], path: Path, folder: Path) -> str:
    """Return `fails`, `error` or `passes` for one file."""
    done = subprocess.run(
        [*command, str(path)], capture_output=True, text=True, cwd=folder, timeout=300, check=False
    )
    if tool == "casemate":
        return {0: "passes", 1: "fails"}.get(done.returncode, "error")
    if tool == "fickling":
        safe = done.returncode == 0 and "Warning" not in done.stdout + done.stderr
        return "passes" if safe else ("fails" if done.returncode == 1 else "error")
    return {0: "passes", 1: "fails"}.get(done.returncode, "error")


def detection(commands: dict[str, list[str]], every: int) -> None:
    """Print how many files of each corpus fail, per tool."""
    import scan_corpus

    with tempfile.TemporaryDirectory() as made:
        corpora: dict[str, list[Path]] = {}
        for name, files in {
            "hostile": scan_corpus.hostile(),
            "harmless": scan_corpus.harmless(),
        }.items():
            folder = Path(made) / name
            folder.mkdir()
            for file, data in files.items():
                (folder / file).write_bytes(data)
            corpora[name] = sorted(folder.iterdir())[::every]
        corpora["real"] = scan_corpus.real(ROOT / ".venvs" / "real-models")
        print(f"{'tool':<22}{'corpus':<10}{'n':>5}{'fails':>8}{'error':>8}{'passes':>8}")
        for tool, command in commands.items():
            for name, paths in corpora.items():
                counts: Counter[str] = Counter()
                odd: list[str] = []
                for path in paths:
                    said = verdict(tool, command, path, Path(made))
                    counts[said] += 1
                    if tool == "casemate" and (said == "fails") != (name == "hostile"):
                        odd.append(f"{path.name} ({said})")
                share = {
                    said: f"{counts[said] / len(paths):.0%}"
                    for said in ("fails", "error", "passes")
                }
                print(
                    f"{tool:<22}{name:<10}{len(paths):>5}"
                    + "".join(f"{s:>8}" for s in share.values())
                )
                if odd:
                    print(f"    not as labelled: {', '.join(odd)}")


def large_files(folder: Path, mebibytes: int) -> dict[str, Path]:
    """Write the files to time: storages of noise, sizes in MiB."""
    import joblib
    import numpy as np
    import torch
    from safetensors.torch import save_file

    paths = {
        "small pickle": folder / "small.pkl",
        f"checkpoint {mebibytes} MiB": folder / "ckpt.pt",
        f"safetensors {mebibytes} MiB": folder / "w.safetensors",
        f"joblib {mebibytes // 2} MiB": folder / "a.joblib",
        "300,000 small objects": folder / "objects.pkl",
    }
    small, checkpoint, safe, arrays, objects = paths.values()
    small.write_bytes(pickle.dumps({"a": [1, 2, 3]}))
    block = torch.rand(1 << 18)
    weights = {f"layer.{index}.weight": block + index for index in range(mebibytes)}
    torch.save(weights, checkpoint)
    save_file(weights, safe)
    joblib.dump([np.random.default_rng(0).random(1 << 20) for _ in range(mebibytes // 16)], arrays)
    objects.write_bytes(
        pickle.dumps([{"id": i, "name": f"n{i}", "w": i / 7} for i in range(300_000)])
    )
    return paths


def cpu(command: list[str]) -> tuple[float, int, int]:
    """Return CPU seconds of a command, its exit code and its largest resident size in MiB."""
    code = (
        "import resource,subprocess,sys;"
        "r=subprocess.run(sys.argv[1:],capture_output=True,timeout=600);"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(u.ru_utime+u.ru_stime,r.returncode,u.ru_maxrss//1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
    )
    seconds, returned, resident = done.stdout.split()
    return float(seconds), int(returned), int(resident)


def cost(commands: dict[str, list[str]], rounds: int, mebibytes: int) -> None:
    """Print CPU, memory and the ratio to ours, per file and tool."""
    ours = {**commands, "casemate": CASEMATE}
    compared = ("casemate", "picklescan", "modelscan")
    with tempfile.TemporaryDirectory() as made:
        print(f"\n{'file':<24}{'tool':<14}{'CPU s':>8}{'MiB':>7}{'exit':>6}{'ratio':>8}")
        for name, path in large_files(Path(made), mebibytes).items():
            runs: dict[str, list[tuple[float, int, int]]] = {tool: [] for tool in compared}
            for _ in range(rounds):
                for tool in compared:
                    runs[tool].append(cpu([*ours[tool], str(path)]))
            least = {tool: min(runs[tool]) for tool in compared}
            for tool, (seconds, returned, resident) in least.items():
                ratio = seconds / least["casemate"][0]
                print(f"{name:<24}{tool:<14}{seconds:>8.2f}{resident:>7}{returned:>6}{ratio:>8.2f}")


def main() -> int:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take every n-th file of a corpus")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large files")
    parser.add_argument("--skip", choices=("detection", "cost"), default="")
    args = parser.parse_args()
    commands = prepare()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps({"python": sys.version.split()[0], "peers": PINS[:3]}))
    if args.skip != "detection":
        detection(commands, args.every)
    if args.skip != "cost":
        cost(commands, args.rounds, args.size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
