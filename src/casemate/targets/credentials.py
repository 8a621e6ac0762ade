"""Credentials for endpoints, from the environment and nowhere else.

* `CASEMATE_TOKEN`: sent as `Authorization: Bearer ...`.
* `CASEMATE_HEADER_<NAME>`: sent as the header NAME, underscores written as hyphens.
* `CASEMATE_CA_FILE`: PEM file of the authorities trusted instead of the public ones.
* `CASEMATE_CLEARTEXT=1`: allows credentials over an unencrypted connection to another machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.targets.address import Address

_PREFIX = "CASEMATE_HEADER_"
_NAME = re.compile(r"[A-Za-z0-9-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]+")
_OWN = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade"}
)


def headers(environ: Mapping[str, str], address: Address) -> dict[str, str]:
    """Return the headers that authenticate to an endpoint, names in lower case.

    Raises:
        UsageError: A name or value no header can have, a header that belongs to the transport, or
            credentials that would cross a network in clear. The text never holds a value.
    """
    found: dict[str, str] = {}
    if environ.get("CASEMATE_TOKEN"):
        found["authorization"] = f"Bearer {environ['CASEMATE_TOKEN'].strip()}"
    for variable, value in sorted(environ.items()):
        if not variable.upper().startswith(_PREFIX):
            continue
        name = variable[len(_PREFIX) :].replace("_", "-").lower()
        if not _NAME.fullmatch(name) or name in _OWN:
            raise UsageError(f"{variable} names a header that cannot be set")
        found[name] = value.strip()
    for name, value in found.items():
        if not _VALUE.fullmatch(value):
            raise UsageError(f"the value of the header {name} cannot be sent: not plain text")
    allowed = environ.get("CASEMATE_CLEARTEXT") == "1"
    if found and not address.secure and not address.local and not allowed:
        raise UsageError(
            f"credentials would travel unencrypted to {address.host}",
            hint="use https+... or grpcs+..., or set CASEMATE_CLEARTEXT=1 if the network is yours",
        )
    return found


def ca_file(environ: Mapping[str, str]) -> str | None:
    """Return the file of trusted authorities, None for the public ones."""
    return environ.get("CASEMATE_CA_FILE") or None


def redact(text: str, secrets: Mapping[str, str]) -> str:
    """Return text without the values of `secrets`, should a server have echoed one."""
    for value in secrets.values():
        for part in {value, value.removeprefix("Bearer ")}:
            if len(part) > 3:
                text = text.replace(part, "***")
    return text
