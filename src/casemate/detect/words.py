"""Words and figures that detections share."""

from __future__ import annotations

import math


def shown(principal: str) -> str:
    """Return a principal in quotes, printable and of bounded length."""
    if not principal:
        return "a caller without a name"
    text = principal if principal.isprintable() else ascii(principal)[1:-1]
    return f"'{text[:80]}'" if len(text) <= 80 else f"'{text[:79]}…'"


def people(principals: tuple[str, ...]) -> str:
    """Return one principal, or how many and the first of them."""
    if len(principals) <= 1:
        return shown(principals[0]) if principals else shown("")
    return f"{len(principals)} principals, first {shown(principals[0])},"


def powers(nats: float) -> float:
    """Return evidence as powers of ten, to one digit: 4 is ten thousand to one."""
    return round(nats / math.log(10), 1)
