"""Target: what is looked at, and by which digest it is known."""

from __future__ import annotations

from typing import Literal

import msgspec

TargetKind = Literal["artifact", "source", "model", "endpoint", "dataset"]


class Target(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="target/1",
    forbid_unknown_fields=True,
):
    """Something casemate can look at: made by the command line and the workflows, read by all."""

    kind: TargetKind
    uri: str
    """Path (relative to the configuration where there is one) or target URI; never credentials."""
    digest: str | None = None
    """`sha256:` and 64 hex digits of the bytes looked at; None where there are none to read."""
