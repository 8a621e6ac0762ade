"""Every finding is a row, and no cell is a formula."""

import csv
import io

import msgspec
from tests.export import bundles
from tests.gate.made import finding

from casemate.export import report


def test_findings_become_rows_and_no_cell_a_formula():
    bad = msgspec.structs.replace(finding("critical", "os.system"), message="=1+1 is called")
    bundle = report.Bundle(run=bundles.run_record(), findings=(bad,))
    head, row = csv.reader(io.StringIO(report.write(bundle, "csv").decode()))
    assert head[0] == "severity"
    assert row == ["critical", bad.rule, "model.pkl", "'=1+1 is called", bad.fingerprint]
