"""Every rule about containers fires on its bad samples and not on the nearest good ones."""

import pytest

from casemate.catalog.entries import Rule
from casemate.catalog.loader import entries
from casemate.records.severity import Severity
from casemate.scan import scan_file
from tests.corpus.samples import container_samples

SAMPLES = container_samples()
FAMILIES = ("archive-", "zip-", "numpy-", "torch-", "safetensors-", "onnx-", "format-", "scan-")
each = pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.rule}-{s.note}".rstrip("-"))


def report_of(sample, data, folder):
    path = folder / sample.name
    path.write_bytes(data)
    return scan_file(path, root=folder)


@each
def test_bad_samples_fire(sample, tmp_path):
    report = report_of(sample, sample.bad(), tmp_path)
    assert sample.rule in {found.rule for found in report.findings}
    (verdict,) = report.verdicts
    if any(found.severity.at_least(Severity.MODERATE) for found in report.findings):
        assert verdict.answer == "no"


@each
def test_good_samples_do_not_fire(sample, tmp_path):
    report = report_of(sample, sample.good(), tmp_path)
    assert sample.rule not in {found.rule for found in report.findings}


@each
def test_every_byte_is_accounted_for(sample, tmp_path):
    for data in (sample.bad(), sample.good()):
        (verdict,) = report_of(sample, data, tmp_path).verdicts
        said = verdict.measures
        assert said["bytes"] == len(data)
        assert said["bytes"] == sum(
            said[f"bytes_{what}"] for what in ("scanned", "data", "refused")
        )
        if said["bytes_refused"]:
            assert verdict.answer != "yes"


def test_every_rule_has_a_sample():
    rules = {ident for ident in entries("rules", Rule) if ident.startswith(FAMILIES)}
    assert rules == {sample.rule for sample in SAMPLES}
