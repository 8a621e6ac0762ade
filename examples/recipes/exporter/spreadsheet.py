"""`--format csv`: the findings as a table, one row each, for whoever works in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from casemate.export.report import open_findings

if TYPE_CHECKING:
    from casemate.export.report import Bundle


def write(bundle: Bundle) -> bytes:
    """Return the findings that are not waived, worst first."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("severity", "rule", "target", "message", "fingerprint"))
    for one in open_findings(bundle):
        cells = (one.severity.value, one.rule, one.target.uri, one.message, one.fingerprint)
        rows.writerow([f"'{cell}" if cell[:1] in "=+-@" else cell for cell in cells])
    return text.getvalue().encode()
