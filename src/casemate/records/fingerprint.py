"""The identity of a finding across runs and edits.

A fingerprint is the digest of rule, path relative to the configuration, archive member and the
rule's own subject. Line, offset and file digest stay out, so that it survives edits of the file.
"""

from __future__ import annotations

import hashlib


def fingerprint(rule: str, path: str, member: str | None, subject: str) -> str:
    """Return `fp-` and 32 hex digits for the four parts.

    Args:
        rule: Catalog id.
        path: POSIX path relative to the folder of casemate.toml, or a target URI.
        member: Archive member, None when the finding is in the file itself.
        subject: What exactly the rule saw, in the rule's own terms.
    """
    parts = (rule, path.replace("\\", "/"), member or "", subject)
    joined = b"".join(
        len(raw).to_bytes(8, "big") + raw
        for raw in (part.encode("utf-8", "surrogatepass") for part in parts)
    )
    return "fp-" + hashlib.sha256(joined).hexdigest()[:32]
