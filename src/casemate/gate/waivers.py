"""Waivers: a finding, an import or a file that someone decided to live with, until a day.

Read from the `[[waiver]]` tables of casemate.toml. There is no waiver without a reason and a last
day, and none that switches a rule off everywhere.
"""

from __future__ import annotations

import difflib
import re
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import UsageError
from casemate.records.severity import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casemate.records.finding import Finding

_KEYS = ("fingerprint", "reason", "expires")
_FORMS = re.compile(r"fp-[0-9a-f]{32}|import:\S+|sha256:[0-9a-f]{64}")


class Waiver(NamedTuple):
    """One `[[waiver]]`."""

    fingerprint: str
    """`fp-...` of one finding, `import:NAME` for an unknown import, `sha256:...` for a file."""
    reason: str
    expires: date
    """The last day on which it holds."""


def read_waivers(tables: Sequence[Mapping[str, object]]) -> tuple[Waiver, ...]:
    """Read the `[[waiver]]` tables strictly.

    Raises:
        UsageError: An unknown or missing key, no reason, no date, or not a fingerprint.
    """
    return tuple(_read(position, table) for position, table in enumerate(tables, 1))


def trusted(waivers: Iterable[Waiver], today: date) -> dict[str, str]:
    """Return what a scan may take as known, import name or file digest, with the reason."""
    return {
        waiver.fingerprint.removeprefix("import:"): waiver.reason
        for waiver in waivers
        if today <= waiver.expires and not waiver.fingerprint.startswith("fp-")
    }


def waived(
    findings: Iterable[Finding], waivers: Iterable[Waiver], today: date
) -> dict[str, Waiver]:
    """Return the fingerprints of findings that a waiver covers today, with that waiver."""
    live = [waiver for waiver in waivers if today <= waiver.expires]
    return _covered(findings, live)


def expired(
    findings: Iterable[Finding], waivers: Iterable[Waiver], today: date
) -> dict[str, Waiver]:
    """Return the fingerprints of findings whose waiver has run out, with that waiver."""
    dead = [waiver for waiver in waivers if waiver.expires < today]
    return _covered(findings, dead)


def _covered(findings: Iterable[Finding], waivers: Sequence[Waiver]) -> dict[str, Waiver]:
    return {
        finding.fingerprint: waiver
        for finding in findings
        for waiver in waivers
        if _covers(waiver, finding)
    }


def _covers(waiver: Waiver, finding: Finding) -> bool:
    if waiver.fingerprint.startswith("fp-"):
        return waiver.fingerprint == finding.fingerprint
    # Trust in a name or a file is for what nobody knows; what is known to be dangerous has to be
    # waived where it stands, by the finding's own fingerprint.
    if finding.severity is Severity.CRITICAL or finding.trial is not None:
        return False
    if waiver.fingerprint.startswith("import:"):
        return waiver.fingerprint[7:] == finding.subject
    return waiver.fingerprint == finding.target.digest


def _read(position: int, table: Mapping[str, object]) -> Waiver:
    where = f"[[waiver]] number {position}"
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(_KEYS)}"
            raise UsageError(f"{where} has an unknown key '{key}'", hint=hint)
    return Waiver(
        fingerprint=_fingerprint(where, table.get("fingerprint")),
        reason=_reason(where, table.get("reason")),
        expires=_expires(where, table.get("expires")),
    )


def _fingerprint(where: str, value: object) -> str:
    if not isinstance(value, str) or not _FORMS.fullmatch(value):
        raise UsageError(
            f"{where}: fingerprint is {value!r}",
            hint="fp-... as a report shows it, import:NAME, or sha256:... of a file",
        )
    return value


def _reason(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} has no reason", hint="say why, for whoever reads it next year")
    return value.strip()


def _expires(where: str, value: object) -> date:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise UsageError(
            f"{where} has no valid expiry", hint="expires = 2027-03-31, the last day it holds"
        ) from error
