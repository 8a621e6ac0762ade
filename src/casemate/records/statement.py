"""Statement: a claim over digests, ready to be signed; in-toto Statement v1 on the wire."""

from __future__ import annotations

from typing import Any

import msgspec


class Subject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the claim is about."""

    name: str
    digest: str
    """`sha256:` and 64 hex digits."""


class Statement(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="statement/1",
    forbid_unknown_fields=True,
):
    """A claim: made by case and attest, signed in a DSSE envelope, checked by anyone."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    """URI that says what the predicate means."""
    predicate: dict[str, Any]
