"""Write a bundle: a BagIt 1.0 bag whose files are leaves of a Merkle tree with a signed root.

Everything is written beside the place and moved there once it is whole, so that a full disk leaves
nothing that looks like a bundle.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.case.bundle import sealing
from casemate.case.bundle.paths import Paths
from casemate.case.verifier import one_file
from casemate.case.verifier.statements import BAGIT
from casemate.errors import StoreError, UsageError
from casemate.store.telemetry import merkle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from casemate.case.bundle.piece import Piece

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_RESERVE = 64 << 20
_README = """\
Evidence bundle of {case}

Verify it offline, with Python 3.8 or newer and nothing else:

    python3 -I -S verify_bundle.py . --key KEY

KEY is the public key of the case, which you were given by another way than this bundle; the copy
in seal/case.pub shows only that the bundle fits itself. Use a verify_bundle.py of your own if you
have one. Any BagIt tool checks the files too: sha256sum -c manifest-sha256.txt

    data/case         the case, its custody log (one action a line, each names the one before)
    data/items        what was collected, by name; data/papers, data/events, data/log likewise
    seal/leaves.jsonl one line for each item, and for each that is withheld the hash of its line
    seal/checkpoint   the signed root over these lines
    seal/*.dsse.json  signed statements: what was collected by whom, what is withheld and why
"""


class Sealed(NamedTuple):
    """A bundle that was written."""

    folder: Path
    checkpoint: bytes
    root: str
    items: int
    withheld: tuple[bytes, ...]
    """Lines of the items that are withheld: they prove them later."""


class Writer:
    """Writes one bundle; a context manager that leaves nothing behind when it fails."""

    def __init__(
        self,
        out: Path,
        case: str,
        *,
        progress: Callable[[str, int, int], None] | None = None,
        total: int = 0,
    ) -> None:
        """Begin a bundle.

        Args:
            out: Folder to be made; must not be there, or be empty.
            case: Id of the case.
            progress: Called with (what, bytes done, bytes in all).
            total: Bytes that are going to be written.

        Raises:
            UsageError: There is something already.
            StoreError: It cannot be written, or the disk has not the room.
        """
        if os.path.lexists(out) and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is there already", hint="name a folder that is not, with -o")
        self._out = out
        self._case = case
        self._progress = progress
        self._total = total
        self._done = 0
        self._folder = out.with_name(f".{out.name}.{os.getpid()}")
        self._paths = Paths()
        self._made: set[str] = set()
        self._tree = merkle.Growing()
        self._counts: dict[str, int] = {}
        self._tags: list[str] = []
        self._payload = [0, 0]
        self._withheld: dict[int, tuple[bytes, dict[str, Any]]] = {}
        with _explained(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(out.parent).free
            if free < total + _RESERVE:
                raise StoreError(
                    f"the bundle needs {total >> 20} MiB, and {out.parent} has {free >> 20} MiB",
                    hint="free some space, or name a folder elsewhere with -o",
                )
            shutil.rmtree(self._folder, ignore_errors=True)
            (self._folder / "seal").mkdir(parents=True, mode=0o700)
            (self._folder / "data").mkdir()
            self._leaves = (self._folder / "seal" / "leaves.jsonl").open("wb")
            self._manifest = (self._folder / "manifest-sha256.txt").open("wb")

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        for file in (self._leaves, self._manifest):
            with contextlib.suppress(OSError):
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def size(self) -> int:
        """Items so far: the number that the next one gets."""
        return self._tree.size

    def add(self, piece: Piece, *, instead_of: int | None = None) -> str | None:
        """Pack a piece; return the SHA-256 of what was packed, None for one that is absent.

        Args:
            piece: With its bytes, or the reason why there are none.
            instead_of: Number of the item that this is the redacted copy of.
        """
        if piece.is_absent:
            self._put(self._leaf(piece, None, None, piece.why, instead_of))
            return None
        path = self._paths.of(piece.name)
        digest, size = self._write(path, piece)
        why = piece.why
        if piece.digest is not None and piece.digest != f"sha256:{digest}":
            why = f"it is no longer what was collected: {piece.digest}"
        leaf = self._leaf(piece, (digest, size), path, why, instead_of)
        self._manifest.write(f"{digest}  {path}\n".encode())
        self._payload[0] += size
        self._payload[1] += 1
        self._put(leaf)
        return digest

    def withhold(self, piece: Piece, why: str, *, kind: str | None = None) -> int:
        """Seal a piece without showing it and return its number.

        Args:
            piece: With its bytes.
            why: For the signed statement.
            kind: What may be told of it.
        """
        found = _hashed(piece)
        path = self._paths.of(f"withheld/{self._tree.size}")
        leaf = self._leaf(piece, found, path, piece.why, None)
        text = sealing.line(leaf)
        hashed = merkle.leaf(text)
        shown = sealing.Withheld(
            number=leaf.number, producer=leaf.producer, sequence=leaf.sequence, leaf=hashed.hex()
        )
        said = {"number": leaf.number, "producer": leaf.producer, "leaf": hashed.hex(), "why": why}
        if kind is not None:
            said["kind"] = kind
        self._withheld[leaf.number] = text, said
        self._leaves.write(sealing.line(shown) + b"\n")
        self._tree.add(hashed)
        return leaf.number

    def finish(
        self,
        key: Ed25519PrivateKey,
        *,
        by: str,
        tool: str,
        previous: str = sealing.FIRST,
        because: dict[str, str] | None = None,
        fields: Sequence[str] = (),
        title: str = "",
        notes: Sequence[str] = (),
    ) -> Sealed:
        """Sign the bundle and put it in its place.

        Args:
            key: Of the case.
            by: Who packs it.
            tool: With what.
            previous: SHA-256 of the checkpoint of the case's bundle before.
            because: For each producer that may have given nothing, the reason if so.
            fields: What was redacted.
            title: Of the case.
            notes: What is to be known besides.
        """
        from casemate.store.telemetry.keys import public_pem

        now = datetime.now(UTC)
        sealed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with _explained(self._out):
            self._tag("README.txt", _README.format(case=self._case).encode())
            self._tag(one_file.NAME, one_file.assemble())
            self._tag("seal/case.pub", public_pem(key.public_key()))
            self._leaves.close()
            self._manifest.close()
            root = self._tree.root()
            note = sealing.sign_checkpoint(
                key, size=self._tree.size, root=root, case=self._case, sealed=sealed,
                previous=previous,
            )  # fmt: skip
            info = {
                "Bag-Software-Agent": tool,
                "Bagging-Date": f"{now:%Y-%m-%d}",
                "Contact-Name": _one_line(by),
                "External-Description": _one_line(title) or self._case,
                "External-Identifier": self._case,
            }
            producers = [
                (name, self._counts.get(name, 0), (because or {}).get(name, ""))
                for name in sorted({*self._counts, *(because or {})})
            ]
            statements = {
                "collection": sealing.collection(
                    case=self._case, by=by, tool=tool, producers=producers, bag_info={**info},
                    notes=notes, redaction=bool(self._withheld or fields),
                )
            }  # fmt: skip
            if self._withheld or fields:
                said = [one for _, one in self._withheld.values()]
                statements["redaction"] = sealing.redaction(
                    case=self._case, by=by, fields=fields, withheld=said
                )
            self._file("seal/checkpoint", note)
            for name, (kind, predicate) in statements.items():
                text = sealing.sign_statement(key, note, kind, predicate)
                self._file(f"seal/{name}.dsse.json", text)
            info["Payload-Oxum"] = f"{self._payload[0]}.{self._payload[1]}"
            lines = "".join(f"{name}: {value}\n" for name, value in sorted(info.items()))
            self._file("bag-info.txt", lines.encode())
            self._file("bagit.txt", BAGIT)
            self._tag_manifest()
            if self._out.is_dir():
                self._out.rmdir()
            self._folder.rename(self._out)
        withheld = tuple(text for text, _ in self._withheld.values())
        return Sealed(self._out, note, root.hex(), self._tree.size, withheld)

    def instead(self, number: int, copy: int) -> None:
        """Say in the statement which item stands in the place of a withheld one."""
        self._withheld[number][1]["instead"] = copy

    def _leaf(
        self,
        piece: Piece,
        found: tuple[str, int] | None,
        path: str | None,
        why: str | None,
        instead_of: int | None,
    ) -> sealing.Leaf:
        sequence = self._counts.get(piece.producer, 0)
        self._counts[piece.producer] = sequence + 1
        return sealing.Leaf(
            number=self._tree.size,
            producer=piece.producer,
            sequence=sequence,
            name=piece.name,
            kind=piece.kind,
            salt=sealing.salt(),
            path=path,
            sha256=found[0] if found else None,
            bytes=found[1] if found else None,
            why=why,
            instead_of=instead_of,
        )

    def _put(self, leaf: sealing.Leaf) -> None:
        text = sealing.line(leaf)
        self._leaves.write(text + b"\n")
        self._tree.add(merkle.leaf(text))

    def _write(self, path: str, piece: Piece) -> tuple[str, int]:
        with _explained(self._out):
            folder = path.rpartition("/")[0]
            if folder not in self._made:
                (self._folder / folder).mkdir(parents=True, exist_ok=True)
                self._made.add(folder)
            target = f"{self._folder}/{path}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            out = os.open(target, flags, 0o600)
            try:
                if piece.data is not None:
                    _all(out, piece.data)
                    self._tell(piece.name, len(piece.data))
                    return hashlib.sha256(piece.data).hexdigest(), len(piece.data)
                return self._copy(out, piece)
            finally:
                os.close(out)

    def _copy(self, out: int, piece: Piece) -> tuple[str, int]:
        hashed = hashlib.sha256()
        size = 0
        source = os.open(str(piece.file), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while block := os.read(source, _CHUNK):
                hashed.update(block)
                size += len(block)
                if block == _ZEROS:
                    os.lseek(out, len(block), os.SEEK_CUR)  # what was a hole stays one
                else:
                    _all(out, block)
                self._tell(piece.name, len(block))
            os.ftruncate(out, size)
        finally:
            os.close(source)
        return hashed.hexdigest(), size

    def _tell(self, name: str, done: int) -> None:
        self._done += done
        if self._progress is not None:
            self._progress(f"pack: {name}", self._done, max(self._total, self._done))

    def _tag(self, path: str, data: bytes) -> None:
        """Write a file of the bag's own that is an item too."""
        self._file(path, data)
        sequence = self._counts.get("bag", 0)
        self._counts["bag"] = sequence + 1
        digest = hashlib.sha256(data).hexdigest()
        self._put(
            sealing.Leaf(
                number=self._tree.size, producer="bag", sequence=sequence, name=path, kind="tag",
                salt=sealing.salt(), path=path, sha256=digest, bytes=len(data),
            )
        )  # fmt: skip

    def _file(self, path: str, data: bytes) -> None:
        (self._folder / path).write_bytes(data)
        self._tags.append(path)

    def _tag_manifest(self) -> None:
        tags = sorted({*self._tags, "manifest-sha256.txt", "seal/leaves.jsonl"})
        lines = []
        for path in tags:
            with (self._folder / path).open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path}\n")
        (self._folder / "tagmanifest-sha256.txt").write_text("".join(lines), encoding="utf-8")


def _hashed(piece: Piece) -> tuple[str, int]:
    if piece.data is not None:
        return hashlib.sha256(piece.data).hexdigest(), len(piece.data)
    try:
        with open(str(piece.file), "rb") as file:  # noqa: PTH123 - a path may be any
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise StoreError(f"{piece.name} cannot be read: {error.strerror}") from error


def _all(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


def _one_line(text: str) -> str:
    return " ".join(text.split())


@contextlib.contextmanager
def _explained(out: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the bundle {out} cannot be written: {error.strerror}",
            hint="free some space, or name a folder elsewhere with -o; nothing was left behind",
        ) from error
