"""What a sample of a rule is, and where they all are."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

MODULES = ("archives", "models", "unread")


class Sample(NamedTuple):
    """For one rule: bytes it must fire on, the nearest bytes it must not, and a file name."""

    rule: str
    bad: Callable[[], bytes]
    good: Callable[[], bytes]
    name: str = "sample.bin"
    note: str = ""


def container_samples():
    """Return every sample of the rules about containers, in order."""
    return [
        sample
        for module in MODULES
        for sample in importlib.import_module(f"tests.corpus.{module}").SAMPLES
    ]
