"""Who and what can reach a component, as far as the user's description tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from casemate.records.system import Component, System

_ANYONE = frozenset({"public", "anyone", "internet", "customers", "users"})


class Reach(NamedTuple):
    """What comes to a component from outside."""

    callers: tuple[str, ...]
    """Who may send it inputs, directly or through what passes them on."""
    untrusted_inputs: bool
    """Whether inputs cross a trust boundary on their way to it."""
    suppliers: tuple[str, ...]
    """Where what it is made of comes from, across a trust boundary: rows, a model file, code."""
    described: bool
    """Whether any flow of what it is made of is described at all."""

    @property
    def anyone(self) -> bool:
        """Whether someone outside the organisation can reach it, as far as is known."""
        outside = _ANYONE & {caller.lower() for caller in self.callers}
        return bool(self.untrusted_inputs or self.suppliers or outside)


def reach(component: Component, system: System) -> Reach:
    """Follow the flows back from a component to whoever can send something along them.

    Rows make a dataset, so whoever sends some supplies it, a client too. A model, a pipeline or an
    endpoint is made of files: a client or an endpoint before it sends inputs, all else supplies.
    """
    by_name = {c.name: c for c in system.components}
    callers = list(component.callers)
    suppliers: list[str] = []
    untrusted_inputs = described = False
    seen = {component.name}
    waiting = [component.name]
    while waiting:
        here = waiting.pop()
        for flow in system.flows:
            if flow.target != here:
                continue
            source = by_name.get(flow.source)
            sends = component.kind != "dataset" and _sends_inputs(source)
            if sends:
                untrusted_inputs = untrusted_inputs or flow.untrusted
                callers += [flow.source] if source and source.kind == "client" else []
                callers += source.callers if source else ()
            else:
                described = True
                suppliers += [flow.source] if flow.untrusted else []
            if flow.source not in seen and (sends or component.kind == "dataset"):
                seen.add(flow.source)
                waiting.append(flow.source)
    return Reach(
        tuple(dict.fromkeys(callers)), untrusted_inputs, tuple(dict.fromkeys(suppliers)), described
    )


def _sends_inputs(source: Component | None) -> bool:
    return source is not None and source.kind in ("client", "endpoint", "pipeline")
