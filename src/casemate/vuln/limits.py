"""The choices that turn measured facts into a scheme's words, read from the catalog's `scores/`."""

from __future__ import annotations

import functools
import tomllib
from typing import Literal

import msgspec

from casemate.catalog.loader import ROOT
from casemate.errors import UsageError

Loss = Literal["H", "L", "N"]


class Lost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is lost of confidentiality, integrity and availability: high, low, none."""

    C: Loss
    I: Loss  # noqa: E741 - CVSS's letter
    A: Loss


class Impact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an attack of one type costs."""

    strong: Lost
    weak: Lost
    raised_by: tuple[str, ...]
    """Assets that make it strong, whatever was measured."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures at which a word changes; each is explained where it stands."""

    rare: float
    unreliable: float
    strong: float
    automatic: float
    impractical: float


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    limits: Limits
    impact: dict[str, Impact]
    requirement: dict[Literal["C", "I", "A"], tuple[str, ...]]


@functools.cache
def choices() -> Choices:
    """Return the choices."""
    body = tomllib.loads((ROOT / "scores" / "measured-facts.toml").read_text(encoding="utf-8"))
    return msgspec.convert(body, Choices)


def impact(threat: str) -> Impact:
    """Return what an attack of this type costs.

    Raises:
        UsageError: The type has no row.
    """
    known = choices().impact
    if threat not in known:
        raise UsageError(f"there is no score for '{threat}'", hint=f"known: {', '.join(known)}")
    return known[threat]
