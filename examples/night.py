"""The third part of the demo: an attack becomes a case, and the case a bundle that anyone verifies.

The model is attacked as `mallory` through a guard that has no rules of its own. What the attack did
is opened as a case, contained, attacked again, scored, handed over, closed and packed. The last
command runs the bundle's own verifier on the Python of this machine, without casemate.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path

import guarded

STORE = "night"
PLACE = ("--config", "night.toml", "--store", STORE)
"""A workspace of its own, and a configuration that leaves acting to people."""


def prepare(folder: Path) -> None:
    """Write night.toml: casemate.toml without its rules."""
    tables = (folder / "casemate.toml").read_text().split("\n\n")
    kept = [table for table in tables if not table.startswith("[[guard.rule]]")]
    (folder / "night.toml").write_text("\n\n".join(kept))
    shutil.rmtree(folder / "night-bundle", ignore_errors=True)


def main(folder: Path, environment: dict[str, str], observed: int, port: int) -> int:
    """Go through the night; return 0 where every step went as it should, else 1.

    Args:
        folder: Of the demo's digits.
        environment: For the commands.
        observed: Port of a guard that only observes, to compare with.
        port: Port of the guard that obeys.
    """
    unguarded, guard = (f"http+oip://127.0.0.1:{one}/v2/models/digits" for one in (observed, port))
    attack = [
        "redteam", *PLACE, "--scope", "scope.toml", "--as", "mallory", "--attack",
        "evasion-square", "--budget", "1600", "--inputs", "8",
    ]  # fmt: skip

    def run(expected: tuple[int, ...], *words: str) -> bool:
        return guarded.casemate(folder, environment, *words, *PLACE) in expected

    print("\n== digits, the night of the incident", flush=True)
    begun = guarded.casemate(folder, environment, *attack, "--target", guard)
    done = [
        run((0,), "lineage", "deploy", "weights.pt", "--as", "digits"),
        begun in (0, 1),
        run((1,), "case", "open", "--from", "latest", "--copy", "now"),
        run((0,), "case", "radius", "latest"),
        run((0,), "case", "contain", "latest", "--action", "throttle", "--for", "1h"),
    ]
    print("the same attack again, with the endpoint contained and without:", flush=True)
    again = [*attack, "--target", unguarded, "--after", guard, "--telemetry", ".casemate/telemetry"]
    done.append(guarded.casemate(folder, environment, *again) in (0, 1))
    done += [
        run((0,), "vuln", "add", "--from", "latest"),
        run((0, 3), "case", "playbook", "latest", "--all"),
        run((0,), "case", "handover", "latest"),
        run((0,), "case", "undo", "latest", "--why", "the exercise is over"),
        run((0,), "case", "close", "latest", "--why", "an exercise of our own red team"),
        run((0,), "case", "bundle", "latest", "--output", "night-bundle"),
        verified(folder / "night-bundle", Path(environment["CASEMATE_KEYS"])),
    ]
    return 0 if all(done) else 1


def verified(bundle: Path, keys: Path) -> bool:
    """Run the bundle's own verifier on plain Python, with the keys as one would be given them."""
    named = [("--key", "case.pem"), ("--log-key", "log.pem")]
    words = [part for name, file in named for part in (name, public(keys / file))]
    print("$ python -I -S night-bundle/verify_bundle.py night-bundle", *words, flush=True)
    command = [sys.executable, "-I", "-S", str(bundle / "verify_bundle.py"), str(bundle), *words]
    return subprocess.run(command, check=False).returncode == 0


def public(file: Path) -> str:
    """Return the public key of a private one, as verifiers take it."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    raw = key.public_key().public_bytes_raw()
    return f"ed25519:{base64.b64encode(raw).decode()}"
