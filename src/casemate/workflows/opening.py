"""Open the model and the data a configuration or a command names, the scanner standing before both.

What the command line gives beats casemate.toml. Columns, bounds and threshold come from the
configuration; a model whose file would be unpickled is opened from the scanned snapshot.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import UsageError
from casemate.gate.waivers import trusted
from casemate.targets.data import describe, open_data
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from casemate.workflows.job import today
from casemate.workflows.vet import Vet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from casemate.targets.capabilities import Model
    from casemate.targets.data import Data
    from casemate.workflows.config import Loaded


class Opened(NamedTuple):
    """A model and the data to attack it with."""

    model: Model
    data: Data
    label: str | None
    device: str


@contextmanager
def open_both(
    loaded: Loaded,
    *,
    target: str | None = None,
    data: str | None = None,
    label: str | None = None,
    device: str = "auto",
    headers: Mapping[str, str] | None = None,
    permit: Callable[[int], float] | None = None,
) -> Iterator[Opened]:
    """Yield the model and the data, and close the model afterwards.

    `headers` go to an endpoint with every request, and `permit` is asked before each; other targets
    know nothing of them.

    Raises:
        UsageError: One of them is not named or cannot be opened; the scan refuses the model.
        TargetError: The model does not load or does not answer.
    """
    table = loaded.config.model
    uri, rows = target or table.target, data or table.data
    if uri is None:
        raise UsageError("there is no model", hint="casemate init finds one, or name its URI")
    if rows is None:
        raise UsageError(
            "there is no data to attack the model with",
            hint="--data FILE, or data = ... under [model] in casemate.toml",
        )
    # Columns described for the configured data say nothing about other data.
    own = data is None or data == table.data
    chosen = label or (table.label if own else None)
    found = open_data(
        rows,
        label=chosen,
        columns=loaded.config.column if own else (),
        bounds=table.bounds,
        root=loaded.root,
    )
    remote = loaded.config.endpoint
    settings = Settings(
        root=loaded.root,
        classes=table.classes,
        threshold=table.threshold,
        scores=table.scores,
        timeout=remote.timeout,
        retries=remote.retries,
        rate=remote.rate,
        spend=remote.spend,
        headers=headers or {},
        permit=permit,
        options=remote.options,
    )
    if remote.batch is not None:
        settings = settings._replace(batch=remote.batch)
    vet = Vet(trusted(loaded.waivers, today()))
    where = resolve(device)
    try:
        model = open_target(uri, vet=vet, settings=describe(found, settings), device=where)
        try:
            if where == "cpu":
                settle_threads(model, found)
            yield Opened(model, found, chosen, where)
        finally:
            model.close()
    finally:
        vet.close()


def resolve(device: str) -> str:
    """Return `cuda` for `auto` where torch is there and has one, else `cpu`."""
    if device != "auto":
        return device
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def settle_threads(model: Model, data: Data) -> None:
    """Let torch use one thread where more make this model slower, as they do on busy machines."""
    import sys

    torch = sys.modules.get("torch")
    if torch is None or "gradients" not in model.gives or torch.get_num_threads() == 1:
        return
    several = torch.get_num_threads()
    probe = torch.from_numpy(data.x[:128])
    torch.set_num_threads(1)
    alone = _seconds(model, probe)
    torch.set_num_threads(several)
    if _seconds(model, probe) > 0.8 * alone:
        torch.set_num_threads(1)


def _seconds(model: Any, probe: Any) -> float:
    best = float("inf")
    for _ in range(4):
        begun = time.perf_counter()
        model.logits(probe)
        best = min(best, time.perf_counter() - begun)
    return best
