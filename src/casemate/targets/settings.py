"""Settings: what the configuration and the data say about a model, for whoever opens it.

Workflows build one from casemate.toml and `casemate.targets.data.describe`; every target reads the
few fields it needs and ignores the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.records.column import Column
    from casemate.targets.capabilities import Array
    from casemate.targets.encoding import Encoding


class Settings(NamedTuple):
    """How to open a model; every field has a default that means: find out, or not stated."""

    root: Path = Path()
    """Folder that relative paths in a target URI start from: the folder of casemate.toml."""
    bounds: tuple[float | Array, float | Array] | None = None
    """Smallest and largest legal input, numbers or arrays that broadcast to one input."""
    classes: int | None = None
    threshold: float | None = None
    """For two classes: class 1 is answered when its probability is at least this."""
    scores: Literal["logits", "probabilities"] | None = None
    """What the model's outputs are; None: looked at, see `casemate.targets.answers.read`."""
    shape: tuple[int, ...] | None = None
    """Shape of one input; taken from `sample` or from the model when not stated."""
    sample: Array | None = None
    """A few legal inputs (n, ...) to try the model on when it is opened."""
    columns: tuple[Column, ...] = ()
    encodings: tuple[Encoding, ...] = ()
    """How to turn each tabular column back into what the model was trained on."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes in the order of the labels of the data."""
    output: str | int | None = None
    """Name or position of the output that holds the scores, for models with several."""
    batch: int = 512
    """Most inputs handed to the model at once."""
    threads: int | None = None
    """Threads of the runtime, where it has an option for that; None: its own choice."""
    timeout: float = 30.0
    """Seconds one request to an endpoint may take."""
    retries: int = 4
    """How often a request that may succeed later is sent again."""
    rate: float | None = None
    """Most requests per second to an endpoint."""
    spend: int | None = None
    """Most inputs sent to an endpoint in all, retries included."""
    permit: Callable[[int], float] | None = None
    """Asked before every request to an endpoint; see `casemate.targets.patience`."""
    headers: Mapping[str, str] = {}
    """Sent to an endpoint with every request besides credentials, names in lower case."""
    options: Mapping[str, str] = {}
    """Whatever else one kind of target understands, such as the template of `http+json`."""
