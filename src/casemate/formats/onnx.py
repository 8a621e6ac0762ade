"""ONNX models: what a graph names outside itself, found by walking the protobuf without onnx.

Weights are stepped over; nodes, subgraphs, functions, training graphs and metadata are read. What
can reach beyond the file is data kept in other files (path traversal), operators that only native
code from elsewhere can supply, and tensors whose declared size has nothing to do with their bytes.
After onnx/onnx.proto (IR version 13).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from casemate.catalog.entries import Format
from casemate.catalog.loader import entry
from casemate.errors import FormatError
from casemate.formats.paths import escapes
from casemate.formats.seen import Span, Trouble
from casemate.formats.wire import BYTES, VARINT, Field, fields, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading, Seen
    from casemate.formats.source import Source

DEPTH = 64
MODEL = {1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES,
         14: BYTES, 20: BYTES, 25: BYTES, 26: BYTES}  # fmt: skip
GRAPH = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8,
              15: 16, 16: 2, 17: 1, 18: 1, 19: 1, 20: 1}  # fmt: skip
HUGE = 1 << 40
"""Elements; no tensor of a model comes near."""


def is_onnx(source: Source) -> bool:
    """Recognise a model by its top-level fields: all known, of the right type, with a graph.

    A file cut off inside its last field still counts, if it began with the version and a producer.
    """
    if source.read(0, 1) == b"":
        return False
    seen: dict[int, Field] = {}
    count = 0
    try:
        for field in fields(source):
            count += 1
            if MODEL.get(field.number) != field.wire or count > 100_000:
                return False
            seen.setdefault(field.number, field)
    except FormatError:
        return (
            1 in seen
            and 0 < seen[1].value < 64
            and 2 in seen
            and text(source, seen[2]).isprintable()
            and source.size > 16
        )
    return 7 in seen and _is_graph(source, seen[7])


def _is_graph(source: Source, field: Field) -> bool:
    try:
        for count, inner in enumerate(fields(source, field.start, field.end)):
            if inner.number not in GRAPH or inner.wire != BYTES:
                return False
            if count > 64:
                break
    except FormatError:
        return True
    return True


class _Walk:
    """What one walk over a model gathers."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self.source = source
        self.budget = budget
        self.spans: list[tuple[int, int]] = []
        """Weights, in order of place."""
        self.operators: dict[tuple[str, str], int] = {}
        self.functions: set[tuple[str, str]] = set()
        self.local_domains: set[str] = set()
        self.troubles: dict[tuple[str, str], Trouble] = {}
        self.reported: set[tuple[str, str]] = set()

    def trouble(self, rule: str, subject: str, message: str, offset: int) -> None:
        self.troubles.setdefault((rule, subject), Trouble(rule, subject, message, offset))

    def model(self) -> None:
        for field in fields(self.source):
            self.budget.spend_time()
            if field.number == 7:
                self.graph(field, 0)
            elif field.number == 20:
                for inner in fields(self.source, field.start, field.end):
                    if inner.number in {1, 2} and inner.wire == BYTES:
                        self.graph(inner, 0)
            elif field.number == 25:
                self.function(field)

    def graph(self, graph: Field, depth: int) -> None:
        if depth > DEPTH:
            raise FormatError("subgraphs are nested too deeply", offset=graph.start)
        for field in fields(self.source, graph.start, graph.end):
            if field.wire != BYTES:
                continue
            if field.number == 1:
                self.node(field, depth)
            elif field.number == 5:
                self.tensor(field)
            elif field.number == 15:
                for inner in fields(self.source, field.start, field.end):
                    if inner.number in {1, 2} and inner.wire == BYTES:
                        self.tensor(inner)

    def function(self, function: Field) -> None:
        name = domain = ""
        for field in fields(self.source, function.start, function.end):
            if field.number == 1 and field.wire == BYTES:
                name = text(self.source, field)
            elif field.number == 10 and field.wire == BYTES:
                domain = text(self.source, field)
            elif field.number == 7 and field.wire == BYTES:
                self.node(field, 0)
            elif field.number == 11 and field.wire == BYTES:
                self.attribute(field, 0)
        self.functions.add((domain, name))

    def node(self, node: Field, depth: int) -> None:
        operator = domain = ""
        self.budget.spend_time()
        for field in fields(self.source, node.start, node.end):
            if field.wire != BYTES:
                continue
            if field.number == 4:
                operator = text(self.source, field)
            elif field.number == 7:
                domain = text(self.source, field)
            elif field.number == 5:
                self.attribute(field, depth)
        self.operators.setdefault((domain, operator), node.start)

    def attribute(self, attribute: Field, depth: int) -> None:
        for field in fields(self.source, attribute.start, attribute.end):
            if field.wire != BYTES:
                continue
            if field.number in {5, 10}:
                self.tensor(field)
            elif field.number in {6, 11}:
                self.graph(field, depth + 1)
            elif field.number in {22, 23}:
                for inner in fields(self.source, field.start, field.end):
                    if inner.number in {1, 2} and inner.wire == BYTES:
                        self.tensor(inner)

    def tensor(self, tensor: Field) -> None:
        shape: list[int] = []
        kind, name, location, external = 0, "", "", False
        raw: int | None = None
        for field in fields(self.source, tensor.start, tensor.end):
            if field.number == 1:
                shape += self.sizes(field)
            elif field.number == 2:
                kind = field.value
            elif field.number == 8 and field.wire == BYTES:
                name = text(self.source, field, 200)
            elif field.number == 13 and field.wire == BYTES:
                location = self.entry(field) or location
            elif field.number == 14:
                external = field.value == 1
            elif field.number in {4, 5, 6, 7, 9, 10, 11} and field.wire == BYTES:
                if field.number == 9:
                    raw = field.end - field.start
                self.spans.append((field.start, field.end))
        if location or external:
            self.external(name, location, tensor.start)
        self.size(name, shape, kind, raw, tensor.start)

    def sizes(self, field: Field) -> list[int]:
        if field.wire == VARINT:
            return [field.value]
        if field.wire != BYTES:
            return []
        found: list[int] = []
        value = shift = 0
        for byte in self.source.read(field.start, min(field.end - field.start, 1024)):
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 128:
                found.append(value & 0xFFFFFFFFFFFFFFFF)
                value = shift = 0
        return found

    def entry(self, field: Field) -> str:
        """Return the value of an external-data entry with the key `location`."""
        key = value = ""
        for inner in fields(self.source, field.start, field.end):
            if inner.wire == BYTES and inner.number == 1:
                key = text(self.source, inner, 64)
            elif inner.wire == BYTES and inner.number == 2:
                value = text(self.source, inner)
        return value if key == "location" else ""

    def external(self, name: str, location: str, offset: int) -> None:
        if escapes(location) or "://" in location:
            said = f"tensor '{name}' takes its data from '{location[:200]}', outside the folder"
            self.trouble("onnx-external-data-escapes", location[:200], said, offset)

    def size(self, name: str, shape: list[int], kind: int, raw: int | None, offset: int) -> None:
        count = math.prod(shape[:32])
        if len(shape) > 32 or count > HUGE or any(size >= 1 << 63 for size in shape):
            said = f"tensor '{name}' declares {len(shape)} dimensions of {count:,} elements in all"
            self.trouble("onnx-tensor-size-wrong", name, said[:400], offset)
        elif raw is not None and kind in ITEM_BYTES and raw != count * ITEM_BYTES[kind]:
            said = f"tensor '{name}' holds {raw:,} bytes, {count * ITEM_BYTES[kind]:,} declared"
            self.trouble("onnx-tensor-size-wrong", name, said, offset)

    def judged(self) -> Iterator[Trouble]:
        """Yield everything gathered, once the functions the model brings along are known."""
        own = {domain for domain, _ in self.functions}
        names = entry("formats", "onnx", Format).known
        for (domain, operator), offset in self.operators.items():
            full = f"{domain or 'ai.onnx'}.{operator}"
            if full in names["python_operators"]:
                said = f"operator {full} calls a Python function by name"
                yield Trouble("onnx-python-operator", full[:200], said[:400], offset)
            elif (
                domain
                and domain not in names["domains"]
                and (domain, operator) not in self.functions
            ):
                where = "its functions lack it" if domain in own else "no part of the model does"
                said = f"operator {full} needs native code from elsewhere: {where}"
                yield Trouble("onnx-custom-operator", full[:200], said[:400], offset)
        yield from self.troubles.values()


def read(source: Source, budget: Budget) -> Reading:
    """Walk the model."""
    walk = _Walk(source, budget)
    broken: FormatError | None = None
    try:
        walk.model()
    except FormatError as error:
        broken = error
    yield from walk.judged()
    end = source.size
    if broken is not None:
        end = min(broken.offset or 0, source.size)
        yield Trouble("format-malformed", "onnx", f"the model is damaged: {broken}", broken.offset)
        yield Span(end, source.size, "refused", "damaged")
    yield from _spans(walk.spans, end)


def _spans(weights: list[tuple[int, int]], end: int) -> Iterator[Seen]:
    position = 0
    for start, stop in sorted(weights):
        if start > position:
            yield Span(position, min(start, end), "scanned")
        yield Span(start, stop, "data")
        position = max(position, stop)
    if position < end:
        yield Span(position, end, "scanned")
