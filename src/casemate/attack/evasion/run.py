"""The run loop of evasion: choose inputs, run the attack, measure again, build the Trial.

An attack only ever sees an oracle. What the oracle kept is put to the target once more here, in the
target's own type, and only that is reported.
"""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from casemate.attack.domain import Domain
from casemate.attack.evasion import answers, inputs
from casemate.attack.evasion.trial import build
from casemate.attack.measure import distances
from casemate.attack.oracle import Oracle
from casemate.catalog import loader
from casemate.errors import BudgetSpent, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from casemate.catalog.entries import Attack
    from casemate.records.trial import Param, Trial
    from casemate.targets.capabilities import Array
    from casemate.targets.data import Data

    Rows = npt.NDArray[np.int64]


class Tally(NamedTuple):
    """What was found and spent, per chosen input (n,)."""

    adversarial: Array
    found: npt.NDArray[np.bool_]
    attacked: npt.NDArray[np.bool_]
    """Inputs whose attack ran to its end, or to the end of its budget."""
    forward: Rows
    backward: Rows


class Stop(NamedTuple):
    """Why the loop ended."""

    state: str = "complete"
    notes: tuple[str, ...] = ()


def run(
    entry: Attack,
    model: Any,
    data: Data,
    *,
    params: dict[str, Param],
    budget: int | None,
    seed: int,
    limit: int | None,
    device: str,
    fpr: float | None,
    progress: Callable[[str, int, int], None] | None,
    keep: Callable[[bytes], str] | None,
    deadline: float | None,
    drop: bool = True,
    batch: int | None = None,
    unguarded: Any = None,
) -> Trial:
    """Attack every input that the target gets right; see `casemate.attack.run.run`.

    Args:
        entry: The attack.
        model: The target.
        data: Inputs.
        params: Complete and checked.
        budget: Evaluations per input.
        seed: Of everything random.
        limit: Most inputs.
        device: Where gradients are computed.
        fpr: For recall at a false-positive rate.
        progress: Told (attack, done, total).
        keep: Stores the adversarial inputs.
        deadline: `time.monotonic()` at which to stop.
        drop: Leave rows out once they are fooled; False only to compare costs.
        batch: Inputs attacked together; None: as many as fit comfortably.
        unguarded: The same target by a way around its guard, asked before and after the attack,
            where the guard would refuse or falsify the answer; None: there is none.
    """
    plain = model if unguarded is None else unguarded
    for need in entry.needs:
        if need not in model.gives:
            raise UsageError(
                f"{entry.id} needs {need}, which {model.target.uri} does not give",
                hint=f"it gives {', '.join(sorted(model.gives))}; see 'casemate threats'",
            )
    if budget is not None and budget < 1:
        raise UsageError(f"a budget of {budget} evaluations allows nothing", hint="at least 1")
    chosen = inputs.choose(model, data, limit, gradients="gradients" in entry.needs)
    device = inputs.resolve(device)
    clean = answers.ask(plain, chosen.x, chosen.y, model.threshold, device)
    figure = inputs.figure(model, data, chosen, clean, fpr)
    if figure.threshold != model.threshold:
        clean = answers.ask(plain, chosen.x, chosen.y, figure.threshold, device)
    right = figure.counted & (clean.label == chosen.y)
    random = model.deterministic is False or answers.wavers(
        plain, chosen.x, chosen.y, figure.threshold, device
    )
    domain = Domain(chosen.lower, chosen.upper, tuple(data.columns))

    tally = Tally(
        chosen.x.copy(),
        *(np.zeros(len(chosen.y), bool) for _ in range(2)),
        *(np.zeros(len(chosen.y), np.int64) for _ in range(2)),
    )
    loop = _Loop(entry, model, chosen, domain, params, budget, seed, device, figure.threshold)
    wall, cpu = time.perf_counter(), time.process_time()
    stop, told = loop.attack(np.flatnonzero(right), tally, progress, deadline, drop, batch)
    spent = time.perf_counter() - wall, time.process_time() - cpu

    notes = [*chosen.notes, *figure.notes, *told, *stop.notes]
    rows = np.flatnonzero(tally.found)
    asked: answers.Answer | None = None
    try:
        ask = answers.ask_often if random else answers.ask
        asked = ask(plain, tally.adversarial[rows], chosen.y[rows], figure.threshold, device)
    except TargetError as error:
        stop = Stop("failed", stop.notes)
        notes.append(f"what was found could not be measured again: {error}")
    legal = domain.holds(tally.adversarial[rows], chosen.x[rows])
    away = distances(tally.adversarial[rows], chosen.x[rows], loop.norm)
    if loop.eps is not None:
        legal &= away <= loop.eps
    if random:
        notes.append("the model answers at random: fooled is what most of 20 answers get wrong")
    return build(
        entry, model, data, chosen, figure, clean, tally, asked, legal, away,
        params=params, seed=seed, budget=budget, norm=loop.norm, eps=loop.eps, spent=spent,
        state=stop.state, notes=notes, keep=keep,
    )  # fmt: skip


class _Loop:
    """The part of a run that does not change from batch to batch."""

    def __init__(
        self,
        entry: Attack,
        model: Any,
        chosen: inputs.Chosen,
        domain: Domain,
        params: dict[str, Param],
        budget: int | None,
        seed: int,
        device: str,
        threshold: float | None,
    ) -> None:
        self.entry, self.model, self.chosen, self.domain = entry, model, chosen, domain
        self.params, self.budget, self.seed, self.device = params, budget, seed, device
        self.threshold = threshold
        self.function = loader.load(entry)
        self.norm = str(params.get("norm") or (entry.norms[0] if entry.norms else "linf"))
        eps = params.get("eps")
        self.eps = None if entry.minimum_norm or eps is None else float(eps)
        self.gradients = "gradients" in entry.needs
        self.random = "rng" in inspect.signature(self.function).parameters

    def attack(
        self,
        rows: Rows,
        tally: Tally,
        progress: Callable[[str, int, int], None] | None,
        deadline: float | None,
        drop: bool,
        batch: int | None,
    ) -> tuple[Stop, list[str]]:
        """Attack `rows` batch by batch, filling the tally; return why it ended and notes."""
        size = batch or inputs.batch_size(self.chosen.x)
        stop, zero, bad, told = Stop(), 0, 0, dict[str, None]()
        for number, start in enumerate(range(0, len(rows), size)):
            part = rows[start : start + size]

            def tick(oracle: Oracle, start: int = start) -> None:
                if progress is not None:
                    done = start + int(oracle.done.sum())
                    progress(self.entry.id, done, len(rows))

            oracle = self._oracle(part, drop, deadline, tick)
            last = self._one(oracle, number, deadline)
            tally.forward[part] += oracle.forward
            tally.backward[part] += oracle.backward
            found = np.isfinite(oracle.distance)
            best: Any = oracle.best[np.flatnonzero(found)]
            tally.adversarial[part[found]] = best.cpu().numpy() if self.gradients else best
            tally.found[part] = found
            # An attack that returned by itself is done, however late; one that was stopped by its
            # own budget is too, one that was stopped by the clock is not.
            spent = last.state == "budget-spent" and not _late(deadline)
            tally.attacked[part] = last.state == "complete" or spent
            if last.state != "complete" or stop.state == "complete":
                stop = last
            zero, bad = zero + oracle.zero_gradients, bad + oracle.bad_gradients
            told |= dict.fromkeys(oracle.notes)
            if progress is not None:
                progress(self.entry.id, min(start + size, len(rows)), len(rows))
            if stop.state in ("interrupted", "failed"):
                break
            if _late(deadline):
                if start + size < len(rows):
                    stop = Stop("budget-spent", ("stopped at its deadline",))
                break
        notes = list(told)
        if zero:
            notes.append(
                f"{zero} gradients were exactly zero where the model was not yet fooled: "
                "gradients may be masked, so this figure may be too good"
            )
        if bad:
            notes.append(f"{bad} gradients held NaN or infinity and were taken as zero")
        return stop, notes

    def _oracle(
        self, part: Rows, drop: bool, deadline: float | None, tick: Callable[[Oracle], None]
    ) -> Oracle:
        x: Any = self.chosen.x[part]
        if self.gradients:
            import torch

            x = torch.as_tensor(x, device=self.device)
        return Oracle(
            self.model,
            x,
            self.chosen.y[part],
            domain=self.domain,
            norm=self.norm,
            eps=self.eps,
            budget=self.budget,
            drop=drop,
            threshold=self.threshold,
            deadline=deadline,
            tick=tick,
        )

    def _one(self, oracle: Oracle, number: int, deadline: float | None) -> Stop:
        """Run the attack on one batch; whatever ends it, what the oracle holds is kept."""
        rng: Any
        y: Any = oracle.y
        state = np.random.SeedSequence([self.seed, number])
        if self.gradients:
            import torch

            rng = torch.Generator().manual_seed(int(state.generate_state(1, np.uint64)[0] >> 1))
            y = torch.as_tensor(y, device=self.device)
        else:
            rng = np.random.default_rng(state)
        try:
            self.function(
                oracle, oracle.x, y, **({"rng": rng} if self.random else {}), **self.params
            )
        except BudgetSpent as spent:
            return Stop(
                "budget-spent", ("stopped at its deadline",) if _late(deadline) else (str(spent),)
            )
        except KeyboardInterrupt:
            return Stop("interrupted", ("interrupted; what was found until then is kept",))
        except TargetError as error:
            return Stop("failed", (f"the target failed: {error}",))
        except Exception as error:  # noqa: BLE001 - a model is the user's code; what was found must stay
            text = (str(error).strip().splitlines() or [""])[0][:200]
            return Stop(
                "failed", (f"the target or the attack raised {type(error).__name__}: {text}",)
            )
        return Stop()


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
