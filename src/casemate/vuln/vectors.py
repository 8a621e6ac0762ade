"""CVSS vectors in letters: read strictly, and written in the order of the specification.

`casemate.vuln.cvss3` and `cvss4` say which metrics there are and what a vector of them is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def parse(vector: str, prefix: str, metrics: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the value of every metric of a vector, `X` where it says nothing.

    Args:
        vector: `CVSS:4.0/AV:N/...`, metrics in any order.
        prefix: `CVSS:4.0`.
        metrics: Allowed values by metric; those without an `X` among them must be there.

    Raises:
        UsageError: Another prefix, a metric that is unknown, twice there or missing, or a value
            it cannot have.
    """
    head, *parts = vector.split("/")
    if head != prefix:
        raise UsageError(f"'{vector[:80]}' is no {prefix} vector", hint=f"it begins with {prefix}/")
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(":")
        allowed = metrics.get(name)
        if allowed is None or value not in allowed:
            raise UsageError(f"'{part[:40]}' is no metric of {prefix}")
        if name in found:
            raise UsageError(f"{name} is twice in '{vector[:80]}'")
        found[name] = value
    for name, allowed in metrics.items():
        if name not in found:
            if "X" not in allowed:
                raise UsageError(f"{name} is missing in '{vector[:80]}'")
            found[name] = "X"
    return found


def written(values: Mapping[str, str], prefix: str, metrics: Mapping[str, tuple[str, ...]]) -> str:
    """Return the vector of these values, without the metrics that say nothing."""
    parts = [f"{one}:{values[one]}" for one in metrics if values.get(one, "X") != "X"]
    return "/".join((prefix, *parts))


def rating(value: float) -> str:
    """Return CVSS's word for a score from 0 to 10, the same in versions 3.1 and 4.0."""
    for word, least in (("critical", 9.0), ("high", 7.0), ("medium", 4.0), ("low", 0.1)):
        if value >= least:
            return word
    return "none"
