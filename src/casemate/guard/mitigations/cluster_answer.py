"""`cluster-answer`: near-duplicates all get the answer of the first of them, silently.

Buys: whoever varies one input sees a flat surface, and no sign that it was noticed. The model is
asked all the same, so that the time tells nothing and the true answer is on record. Only on routes
where a named person allowed answers that are not the model's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from casemate.guard.mitigations.step import Step

if TYPE_CHECKING:
    import numpy.typing as npt

    from casemate.guard.mitigations.step import Asked, Defaults, Directive

_MOST = 1 << 16


class ClusterAnswer:
    """Remembers one answer per cluster and output; the ones longest unasked are forgotten."""

    defaults: ClassVar[Defaults] = {"from_size": 2}

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int, str], npt.NDArray[Any]] = {}

    def apply(self, asked: Asked, told: Directive) -> Step | None:
        """Serve what the first of each row's cluster was served."""
        least = int(told.settings["from_size"])
        clusters = [one.cluster for one in asked.measured]
        sizes = [one.size or 1 for one in asked.measured]
        if all(one is None for one in clusters):
            return None
        model, version = asked.exchange.model, asked.exchange.version or ""

        def change(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            served = values.copy()
            for row, cluster in enumerate(clusters):
                if cluster is None:
                    continue
                key = (model, version, cluster, name)
                known = self._answers.pop(key, None)
                if known is None or known.shape != values[row].shape:
                    known = np.array(values[row])
                    if len(self._answers) >= _MOST:
                        self._answers.pop(next(iter(self._answers)))
                self._answers[key] = known
                if sizes[row] >= least:
                    served[row] = known
            return served

        return Step("cluster-answer", change=change)
