"""From what a run measured to its Trial."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from casemate.attack.measure import ORDER, share
from casemate.attack.oracle import CLEAR
from casemate.records.make import make, new_id
from casemate.records.trial import Cost, Measure, Outcome, Series, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from casemate.attack.evasion.answers import Answer
    from casemate.attack.evasion.inputs import Chosen, Figure
    from casemate.attack.evasion.run import Tally
    from casemate.catalog.entries import Attack
    from casemate.records.trial import Param
    from casemate.targets.data import Data


def build(
    entry: Attack,
    model: Any,
    data: Data,
    chosen: Chosen,
    figure: Figure,
    clean: Answer,
    tally: Tally,
    asked: Answer | None,
    legal: npt.NDArray[np.bool_],
    away: npt.NDArray[np.float64],
    *,
    params: dict[str, Param],
    seed: int,
    budget: int | None,
    norm: str,
    eps: float | None,
    spent: tuple[float, float],
    state: str,
    notes: list[str],
    keep: Callable[[bytes], str] | None,
) -> Trial:
    """Build the Trial of an evasion attack.

    Args:
        entry: The attack.
        model: The target.
        data: What was attacked.
        chosen: The inputs.
        figure: What is measured.
        clean: Answers before the attack.
        tally: What the oracles kept.
        asked: The target's answers to what was found, asked again; None if it failed.
        legal: Which of these lie within the limits.
        away: Their distances.
        params: Of the attack.
        seed: Of the run.
        budget: Per input.
        norm: Of the distance.
        eps: Radius or None.
        spent: Wall and CPU seconds.
        state: How the run ended.
        notes: What a reader must know.
        keep: Stores the adversarial inputs.
    """
    n = len(chosen.y)
    right = clean.label == chosen.y
    rows = np.flatnonzero(tally.found)
    success: list[bool | None] = [None] * n
    for i in range(n):
        left_alone = not right[i] or not figure.counted[i]
        if left_alone or (tally.attacked[i] and not tally.found[i]):
            success[i] = False
    distance: list[float | None] = [None] * n
    label: list[int | None] = [None] * n
    margin: list[float | None] = [None] * n
    fooled = np.zeros(len(rows), bool)
    if asked is not None:
        fooled = legal & (asked.label != chosen.y[rows])
        for at, i in enumerate(rows.tolist()):
            sure = bool(fooled[at]) or bool(tally.attacked[i])
            success[i] = bool(fooled[at]) if sure else None
            if fooled[at]:
                distance[i], label[i] = float(away[at]), int(asked.label[at])
                margin[i] = None if asked.margin is None else _finite(asked.margin[at])
        if (lost := int((~fooled).sum())) > 0:
            notes.append(f"{lost} candidates did not fool the target when asked again")
        thin = 0 if asked.margin is None else int((fooled & (asked.margin > -CLEAR)).sum())
        if thin and not entry.minimum_norm:
            notes.append(f"{thin} inputs are fooled by a margin of less than {CLEAR:g}")
    outcomes = tuple(
        make(
            Outcome,
            index=int(chosen.rows[i]),
            label=int(chosen.y[i]),
            clean=bool(right[i]),
            success=success[i],
            distance=distance[i],
            adversarial_label=label[i],
            margin=margin[i],
            queries=int(tally.forward[i]) if entry.knowledge != "white-box" else 0,
            forward=int(tally.forward[i]),
            backward=int(tally.backward[i]),
        )
        for i in range(n)
        if figure.counted[i]
    )
    # Inputs not attacked to the end count as holding. Leaving them out would bias the figure, since
    # those fooled early are decided and those that hold are not.
    undecided = sum(o.success is None for o in outcomes)
    held = sum(o.clean and o.success is not True for o in outcomes)
    measures, series = _distances(entry, outcomes, _reach(chosen, norm))
    if undecided:
        notes.append(
            f"{undecided} inputs were not attacked to the end and count as holding: "
            "the true figure is at most this"
        )
    if entry.minimum_norm:
        notes.append("no radius was set: read the distances, not the share that was fooled")
    forward, backward = int(tally.forward.sum()), int(tally.backward.sum())
    return make(
        Trial,
        id=new_id("trial"),
        attack=entry.id,
        family="evasion",
        target=model.target,
        data=data.target,
        params=params,
        seed=seed,
        budget=budget,
        norm=norm,
        eps=eps,
        inputs=len(outcomes),
        clean=share(figure.name, sum(o.clean for o in outcomes), len(outcomes)),
        robust=share(figure.name, held, len(outcomes)),
        cost=make(
            Cost,
            forward=forward,
            backward=backward,
            queries=forward if entry.knowledge != "white-box" else 0,
            wall_s=spent[0],
            cpu_s=spent[1],
        ),
        outcomes=outcomes,
        measures=measures,
        series=series,
        adversarial=_store(chosen, tally.adversarial[rows[fooled]], rows[fooled], keep),
        state=state,
        notes=tuple(notes),
    )


def _distances(
    entry: Attack, outcomes: tuple[Outcome, ...], reach: float
) -> tuple[tuple[Measure, ...], tuple[Series, ...]]:
    """Return, for a search for the smallest change, its median and accuracy against radius."""
    if not entry.minimum_norm:
        return (), ()
    attacked = [o for o in outcomes if o.clean]
    found = sorted(o.distance for o in attacked if o.distance is not None)
    half = (len(attacked) - 1) // 2
    median = found[half] if attacked and half < len(found) else None
    measures = (
        make(Measure, name="median-distance", value=median, n=len(attacked)),
        make(
            Measure,
            name="median-distance-share",
            value=median / reach if median is not None and 0 < reach < np.inf else None,
            n=len(attacked),
        ),
        make(
            Measure,
            name="found",
            value=len(found) / len(attacked) if attacked else None,
            n=len(attacked),
        ),
    )
    n = len(outcomes)
    points = [(0.0, len(attacked) / n)] if n else []
    points += [(d, (len(attacked) - at - 1) / n) for at, d in enumerate(found)]
    curve = make(
        Series, name="accuracy-against-eps", x_name="eps", y_name="accuracy", points=tuple(points)
    )
    return measures, (curve,)


def _reach(chosen: Chosen, norm: str) -> float:
    """Return the distance between opposite corners of the box of legal inputs."""
    cells = np.broadcast_to(np.asarray(chosen.upper) - np.asarray(chosen.lower), chosen.x.shape[1:])
    return float(np.linalg.norm(cells.astype(np.float64).reshape(-1), ORDER[norm]))


def _store(
    chosen: Chosen, adversarial: Any, rows: Any, keep: Callable[[bytes], str] | None
) -> str | None:
    if keep is None or not len(rows):
        return None
    blob = io.BytesIO()
    np.savez_compressed(blob, index=chosen.rows[rows], x=chosen.x[rows], adv=adversarial)
    return keep(blob.getvalue())


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
