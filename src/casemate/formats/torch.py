"""PyTorch files: checkpoints, TorchScript, torch.export and torch.package archives, old layouts.

The archives are zip files with known records; the layout before them is a stack of pickles, and the
one before that a tar that needs no reader of its own. Storages are data; everything else is
recognised like any file. After torch/serialization.py and torch/csrc/jit/serialization.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.catalog.entries import Format
from casemate.catalog.loader import entry
from casemate.formats import zip as zip_format
from casemate.formats.carving import plausible
from casemate.formats.pickle import trace
from casemate.formats.seen import Part, Span, Stream, Trouble
from casemate.formats.zip_directory import is_zip, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading, Seen
    from casemate.formats.source import Source

MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""LONG1 of the ten bytes of torch's magic number, and STOP."""
LEGACY_STREAMS = 5
"""Magic number, protocol, system, object, storage keys."""
_STORAGE = re.compile(
    r"(^|/)((data|tensors|constants|bytecode|xl_model_weights)/\d+|data/(weights|constants)/[\w.]+_\d+"
    r"|\.data/\d+\.storage|[^/]+\.storage)"
)
_CODE = re.compile(r"(^|/)code/.*\.py")
_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|#[^\n]*")
_FILES = re.compile(r"\b(?:torch|ops\s*\.\s*aten)\s*\.\s*(save|from_file)\b")
_OPERATOR = re.compile(r"\bops\s*\.\s*([A-Za-z_]\w*)\s*\.\s*([A-Za-z_]\w*)")
CODE_SIZE = 16 << 20


def is_torch_zip(source: Source) -> bool:
    """Recognise PyTorch's archives by the records they all have."""
    if not is_zip(source):
        return False
    found = {name.partition("/")[2] or name for name in names(source)}
    found |= set(names(source))
    return bool(
        ("data.pkl" in found and ("version" in found or "byteorder" in found))
        or ("constants.pkl" in found and "version" in found)
        or "archive_format" in found
        or ".data/extern_modules" in found
        or "serialized_exported_program.json" in found
    )


def read_zip(source: Source, budget: Budget) -> Reading:
    """Read one of PyTorch's zip archives."""
    found = names(source)
    if any(name.endswith(".data/extern_modules") for name in found):
        code = sorted(name for name in found if name.endswith(".py"))
        if code:
            said = f"torch.package runs the Python source it contains: {', '.join(code[:5])[:300]}"
            yield Trouble("torch-package-runs-source", "torch.package", said)
    script = any(_CODE.search(name) for name in found)
    reading = zip_format.read(source, budget, opaque=lambda name: bool(_STORAGE.search(name)))
    reply = None
    while True:
        try:
            seen = reading.send(reply)
        except StopIteration:
            return
        if isinstance(seen, Part):
            yield from _member(seen, script=script)
            if script and seen.name.endswith("pkl"):
                # torch.jit.load has an unpickler of its own, which looks for classes under code/.
                seen = seen._replace(inside=("__torch__.",))
        reply = yield seen


def _member(part: Part, *, script: bool) -> Iterator[Seen]:
    if part.name.endswith((".so", ".pyd", ".dll", ".dylib", ".cubin")) or part.source.read(
        0, 4
    ) in {b"\x7fELF", b"\xcf\xfa\xed\xfe"}:
        said = f"'{part.name}' is native code that is loaded with the model"
        yield Trouble("torch-native-code", part.name, said, member=part.name)
    if script and _CODE.search(part.name) and part.source.size <= CODE_SIZE:
        yield from _script(part)


def _script(part: Part) -> Iterator[Seen]:
    raw = part.source.read(0, CODE_SIZE).decode("utf-8", "replace")
    code = _STRING.sub("''", raw)
    for verb in sorted({match[1] for match in _FILES.finditer(code)}):
        does = "writes" if verb == "save" else "maps"
        said = f"the program {does} files of its own choice: torch.{verb}"
        yield Trouble("torch-script-touches-files", f"torch.{verb}", said, member=part.name)
    others = {match.groups() for match in _OPERATOR.finditer(code)}
    own = entry("formats", "torch-zip", Format).known["operator_libraries"]
    for library, operator in sorted(others):
        if library not in own:
            full = f"{library}::{operator}"
            said = f"operator {full} needs native code from elsewhere"
            yield Trouble("torch-script-custom-operator", full, said, member=part.name)


def is_torch_legacy(source: Source) -> bool:
    """Recognise the layout of torch before 1.6 by its magic number, in any protocol."""
    head = source.read(0, 32)
    return head[:1] == b"\x80" and 2 <= head.find(MAGIC) <= 16


def read_legacy(source: Source, budget: Budget) -> Reading:
    """Read the five pickles; what follows are storages."""
    at = 0
    for _ in range(LEGACY_STREAMS):
        budget.spend_member()
        traced = trace(source, at)
        yield Stream(traced, at, traced.end)
        at = max(traced.end, at + 1)
        if not traced.complete:
            yield Span(at, source.size, "refused", "the pickle breaks off here")
            return
    while at < source.size:
        traced = trace(source, at)
        if not (traced.complete and plausible(traced)):
            break
        budget.spend_member()
        yield Stream(traced, at, traced.end)
        at = traced.end
    if at < source.size:
        rest = source.sub(at, source.size - at, "storages")
        yield Part("storages", rest, at, source.size, opaque=True)
