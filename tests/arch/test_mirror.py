"""Every source module has its tests in the folder that mirrors its own.

A test file of its name or of the leading part of it (test_zip.py for zip_gaps.py); or, for the
parts of one mechanism, a test in that folder which imports it or names the catalog entry that does.
"""

import re

import pytest

from casemate.catalog.entries import KINDS
from casemate.catalog.loader import entries
from tests.arch.house import TESTS, modules

SHAPES_ONLY = {
    "column", "detection", "edge", "event", "evidence", "exchange", "finding", "incident",
    "location", "order", "run", "statement", "system", "target", "threat", "trial", "verdict",
    "vulnerability",
}  # fmt: skip
"""Records without behaviour; tests/records/test_codec.py sends each through JSON and back."""
ELSEWHERE = {
    **{
        f"case/triage/{part}.py": "case/triage/test_report.py"
        for part in (
            "callers",
            "conclusion",
            "grouping",
            "population",
            "questions",
            "sessions",
            "types",
            "words",
        )
    },
    "catalog/entries.py": "arch/test_catalog.py",
    "errors.py": "cli/test_program.py",
    "detect/streams.py": "detect/test_watch.py",
    "guard/ask.py": "guard/test_guard.py",
    "guard/desk.py": "guard/proxy/test_relay.py",
    "guard/invocations.py": "guard/test_protocols.py",
    "guard/judge.py": "guard/test_guard.py",
    "guard/logs/body.py": "guard/logs/test_formats.py",
    "guard/logs/tables.py": "guard/logs/test_files.py",
    "guard/mitigations/block.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/cluster_answer.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/contract.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/decoy.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/delay.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/route.py": "guard/mitigations/test_actions.py",
    "guard/mitigations/step.py": "guard/mitigations/test_actions.py",
    "guard/templates.py": "guard/test_protocols.py",
    "guard/policy.py": "workflows/test_config.py",
    "workflows/artifacts.py": "workflows/test_collecting.py",
    "workflows/keeping.py": "workflows/test_serve.py",
    "workflows/neighbours.py": "workflows/test_redteaming.py",
    "notify/settings.py": "workflows/test_config.py",
    "targets/capabilities.py": "targets/test_contract.py",
    "scan/allowlist.py": "scan/test_pickles.py",
    "scan/effects.py": "scan/test_pickles.py",
    "scan/pickle_uses.py": "scan/test_pickles.py",
    "scan/wording.py": "scan/test_artifact.py",
    "attack/extraction/run.py": "attack/test_extraction.py",
    "attack/poisoning/run.py": "attack/test_poisoning.py",
    "attack/evasion/column_search.py": "attack/test_tabular.py",
}
"""Shapes that others are held to, and the inner parts of one mechanism, tested at its door."""
IDS = {
    (entry.entry or "").partition(":")[0]: ident
    for kind, cls in KINDS.items()
    for ident, entry in entries(kind, cls).items()
}


def texts(folder):
    return [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]


@pytest.mark.parametrize(
    "module", [m for m in modules() if not m.stem.startswith("__")], ids=lambda m: m.as_posix()
)
def test_a_module_has_its_tests(module):
    name = module.as_posix()
    if module.parent.name == "records" and module.stem in SHAPES_ONLY:
        return
    if name in ELSEWHERE:
        assert (TESTS / ELSEWHERE[name]).is_file()
        return
    words = module.stem.split("_")
    names = ["_".join(words[: end + 1]) for end in range(len(words))]
    if any((TESTS / module.with_name(f"test_{leading}.py")).is_file() for leading in names):
        return
    dotted = "casemate." + name.removesuffix(".py").replace("/", ".")
    package, _, stem = dotted.rpartition(".")
    asked = re.compile(
        rf"{re.escape(dotted)}\b|from {re.escape(package)} import [^\n]*\b{stem}\b"
        + (rf"|[\"']{re.escape(IDS[dotted])}[\"']" if dotted in IDS else "")
    )
    folder = TESTS / module.parts[0]
    assert any(asked.search(text) for text in texts(folder)), (
        f"neither tests/{module.with_name(f'test_{module.name}').as_posix()} "
        f"nor a test in tests/{module.parts[0]} that asks for {dotted}"
    )


def test_no_exception_is_left_over():
    there = {module.as_posix() for module in modules()}
    assert {*ELSEWHERE, *(f"records/{stem}.py" for stem in SHAPES_ONLY)} <= there
