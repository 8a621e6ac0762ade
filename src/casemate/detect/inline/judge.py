"""InlineJudge: measures every input on the path of its request, and again with its answer.

The guard and the import of logs call it as a `casemate.guard.judge.Judge`; rules of `detect` read
the `Measures` it makes. What they carry:

* `marks`: five of the fingerprint's hashes. The first is of the exact bytes, so equal first marks
  are repeats; the others are of windows and projections: two inputs that have one in common, in
  whichever guard of the same key, are probably near-duplicates. 0 stands for none.
* `near`, 0 to 1: how near the nearest earlier input is, by whichever proof is strongest: 1 a repeat
  of the same bytes, 0.5 just near enough to be linked, under it not linked.
* `near_to`, `near_same`, `delta` and `flipped` speak of that nearest input even where it is not
  linked; `delta` is the distance over the input's own deviation (long arrays), in deviations of
  the columns (tables) or over the text's length; 0 a repeat, 1.4 about what unlike inputs have.
* `cluster`, `size`, `turn`: of linked inputs. The first of a cluster has size 1 and gives the
  cluster its id, the first mark.
* `asked`, `fresh`, `bits`: of the principal in the window.

State lives in memory alone: a restart begins with an empty index.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from casemate.detect.inline import answers, index, keyed, principals, signals, tables, texts
from casemate.detect.inline.contract import breaks
from casemate.records.event import Measures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.detect.inline.contract import Contract
    from casemate.records.exchange import Exchange

CARRIED = np.array([0, *keyed.ENDS[:4]])
"""Which marks an event carries: exact, in place, anywhere, whole, coarse."""
LINES = 256
WRITERS = 4096
PENDING = 1 << 16
LABELS = 1 << 10
KNOWN = 1 << 12
"""Names whose hashes are kept at hand."""
MOST_ROWS = 1 << 16
TOKENS_FROM = 256
WHO = 0x7FFFFFFF
"""What the index keeps of a principal or label."""
NOT_FINITE = "no finite number"

SIGNAL_LIMITS = np.array([0.085, 0.35, 0.25, 0.66, 0.02, 1.5, 1e9, 0.2])
TEXT_LIMITS = np.array([0.4, 0.0, 0.0, 0.3, 0.0, 1.3, 1e9, 0.5])
"""See `index.score`; a sketch's difference is capped by the last."""
SIGNAL_SHAPE = np.array([keyed.FINE, keyed.LOW, 1, 1 + keyed.WINDOWS])
TEXT_SHAPE = np.array([keyed.PRINT, 0, 1, keyed.MARKS])


class _Line:
    """Inputs of one model and shape: they are compared with one another alone."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.exponent: int | None = None
        self.unit = 1.0
        self.against = 0
        self.seen = 0
        self.tokens = False
        self.salts: Any = None
        self.scales: tables.Scales | None = None
        self.labels: dict[int, int] = {}
        self.answered = 0


class _Reading(NamedTuple):
    """One input, read."""

    line: _Line
    made: signals.Print
    shape: Any
    limits: Any
    broken: int = 0
    broken_by: str | None = None


class _Waiting(NamedTuple):
    """An input whose answer is not known yet."""

    place: int
    found: int
    found_mark: int
    linked: bool
    row: int
    line: _Line


class InlineJudge:
    """Measures inputs and answers; bounded memory, bounded time, no I/O, one thread.

    Args:
        key: Secret of the fingerprints, at least 16 bytes; the same for guards that work together.
        capacity: Earlier inputs remembered; about 0.25 kB each.
        window_s: Length of the principals' window in seconds.
        contract: What inputs must look like, learned beforehand; None checks for broken numbers
            alone and learns the scales of table columns from the first rows.
        accounts: Principals remembered; about 0.4 kB each.
    """

    def __init__(
        self,
        key: bytes,
        *,
        capacity: int = 100_000,
        window_s: int = 3600,
        contract: Contract | None = None,
        accounts: int = 16_384,
    ) -> None:
        if len(key) < 16:
            raise ValueError("a key of less than 16 bytes")
        self._key = key
        self._contract = contract
        self._signals = signals.Signals(key)
        self._tables = tables.Tables(key, self._signals)
        self._texts = texts.Texts(self._signals)
        self._index = index.Index(capacity)
        self._principals = principals.Principals(accounts, window_s)
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._known: dict[str, int] = {}
        self._numbered = 0
        self._record = np.zeros(4, np.int64)
        self._writers: dict[str, int] = {}
        self._names: list[str] = []
        self._pending: OrderedDict[int, _Waiting] = OrderedDict()

    @property
    def size(self) -> int:
        """Return the bytes of the index and the sketches; they never change."""
        return self._index.size + self._principals.size

    def warm(self) -> None:
        """Compile what there is to compile, so that no request waits for it."""
        from casemate.records.exchange import Exchange
        from casemate.targets.wire import fused

        fused.warm()
        other = InlineJudge(self._key, capacity=64, accounts=8)
        for kind in signals.DIRECT:
            x = (np.arange(768) % 200).astype(kind).reshape(1, 16, 48)
            for i in range(3):
                x = x.copy()
                x[0, 0, 0] = i
                asked = Exchange(at=1, principal="p", model="m", x=x)
                other.weigh(asked, other.look(asked, [f"w-0:{i}"]))

    def look(self, exchange: Exchange, ids: Sequence[str]) -> list[Measures]:
        """Measure the inputs of a request that has not been answered.

        Args:
            exchange: The request.
            ids: Id of each row's event to be, `<writer>:<sequence>`.

        Returns:
            One Measures per id; where the inputs are neither numbers nor text they are empty.
        """
        who = self._who(exchange.principal)
        row = self._principals.row(who, exchange.at)
        rows = min(len(ids), MOST_ROWS)
        inputs = self._inputs(exchange, rows)
        measured = [
            self._measure(inputs(i), who, row, ids[i]) if inputs else self._unread(row)
            for i in range(rows)
        ]
        measured.extend(Measures() for _ in range(len(ids) - rows))
        return measured

    def weigh(self, exchange: Exchange, measured: Sequence[Measures]) -> list[Measures]:
        """Complete the measures once the answer is known.

        Args:
            exchange: The same request with its answer, as the model gave it.
            measured: What `look` returned for it.
        """
        rows = len(measured)
        read = answers.read(exchange.scores, exchange.labels, rows)
        names = exchange.label_names if len(exchange.label_names) == rows else ()
        return [
            self._complete(measured[i], read[i], names[i] if names else None) for i in range(rows)
        ]

    def _who(self, principal: str) -> int:
        known = self._known.get(principal)
        if known is None:
            name = principal.encode("utf-8", "surrogatepass")
            made = hashlib.blake2b(name, digest_size=8, key=self._key[:64], person=b"principal")
            known = int.from_bytes(made.digest(), "little")
            if len(self._known) >= KNOWN:
                self._known.clear()
            if len(principal) <= 256:
                self._known[principal] = known
        return known

    def _unread(self, row: int) -> Measures:
        asked, fresh = self._principals.note(row, 0, -1)
        return Measures(asked=asked, fresh=fresh)

    def _inputs(self, exchange: Exchange, rows: int) -> Any:
        x = exchange.x
        if x is not None and x.ndim and len(x) >= rows > 0 and x.dtype.kind in "biuf" and x.size:
            flat = np.ascontiguousarray(x).reshape(len(x), -1)
            d = flat.shape[1]
            joined = exchange.texts if len(exchange.texts) == rows else ()
            if d <= tables.WIDEST and x.ndim <= 2 and (exchange.columns or joined or d < 64):
                return lambda i: self._table(exchange, flat[i], joined[i] if joined else "")
            if d >= 8:
                shape = x.shape[1:]
                return lambda i: self._signal(exchange, flat[i], shape)
            return lambda i: self._table(exchange, flat[i], "")
        if len(exchange.texts) == rows and rows:
            return lambda i: self._text(exchange, exchange.texts[i])
        return None

    def _line(self, exchange: Exchange, kind: str, size: int) -> _Line:
        name = f"{kind} {size} {exchange.model}"
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(name, self._number())
            if len(self._lines) > LINES:
                self._lines.popitem(last=False)
        else:
            self._lines.move_to_end(name)
        return line

    def _number(self) -> int:
        self._numbered = (self._numbered + 1) % (1 << 30)
        return self._numbered

    def _signal(self, exchange: Exchange, row: Any, shape: tuple[int, ...]) -> _Reading:
        line = self._line(exchange, "signal", len(row))
        if row.dtype.kind in "iu" and row.dtype.itemsize >= 4 and len(shape) == 1:
            line.tokens = line.tokens or int(row.max()) >= TOKENS_FROM
            if line.tokens:
                line.salts = self._signals.salts(line.name + " tokens")
                made = self._texts.print_of_tokens(row, line.salts)
                return _Reading(line, made, TEXT_SHAPE, TEXT_LIMITS)
        loaded = self._signals.load(row, line.unit)
        if self._range(line, 256.0 if row.dtype == np.uint8 else loaded.top):
            loaded = self._signals.load(row, line.unit)
        made = self._signals.print_of(loaded, shape, line.salts)
        return _Reading(line, made, SIGNAL_SHAPE, SIGNAL_LIMITS, *self._checked(made, row))

    def _range(self, line: _Line, top: float) -> bool:
        """Follow the range of a line's inputs, as a power of two, slowly; say when it changes."""
        found = signals.exponent_of(top)
        line.seen += 1
        if found is None or found == line.exponent:
            line.against = max(0, line.against - 1)
        else:
            line.against += 1
        if line.salts is not None and line.against < min(32, 2 + line.seen // 2):
            return False
        line.exponent = found if found is not None else line.exponent
        line.unit = 2.0 ** (line.exponent or 0)
        line.against = 0
        line.number = self._number()
        line.salts = self._signals.salts(f"{line.name} {line.exponent}")
        return True

    def _table(self, exchange: Exchange, row: Any, joined: str) -> _Reading:
        words = joined.split("\x1f") if joined else []
        cells = np.empty(len(row) + len(words))
        cells[: len(row)] = row
        for j, word in enumerate(words[: max(0, tables.WIDEST - len(row))]):
            cells[len(row) + j] = self._who(word) % 1024
        cells = cells[: tables.WIDEST]
        fine = np.isfinite(cells)
        broken = int((~fine).sum())
        given = cells
        if broken:
            given = cells.copy()
            cells[~fine] = 0.0
        line = self._line(exchange, "table", len(cells))
        if line.scales is None:
            given_scales = self._given(len(cells))
            apart = self._contract.apart if self._contract and given_scales is not None else None
            line.scales = tables.Scales(len(cells), given_scales, apart)
        if line.scales.learn(cells, self._who(exchange.principal)) or line.salts is None:
            line.number = self._number()
            line.salts = self._signals.salts(f"{line.name} {line.scales.epoch}")
        made = self._tables.print_of(cells, line.scales, line.salts)
        checked = self._checked(made._replace(broken=broken), given)
        dims = min(len(cells), keyed.PRINT)
        shape = np.array([dims, 0, 1, 1 + keyed.WINDOWS])
        return _Reading(line, made, shape, line.scales.limits, *checked)

    def _given(self, d: int) -> np.ndarray[Any, Any] | None:
        contract = self._contract
        if contract is None or len(contract.scales) != d:
            return None
        return np.array([contract.centres, contract.scales])

    def _checked(self, made: signals.Print, row: Any) -> tuple[int, str | None]:
        if self._contract is not None:
            return breaks(self._contract, row)
        return made.broken, f"{NOT_FINITE} in {made.broken} cells" if made.broken else None

    def _text(self, exchange: Exchange, text: str) -> _Reading:
        line = self._line(exchange, "text", 0)
        if line.salts is None:
            line.salts = self._signals.salts(line.name)
        made = self._texts.print_of(text, line.salts)
        return _Reading(line, made, TEXT_SHAPE, TEXT_LIMITS)

    def _measure(self, read: _Reading, who: int, row: int, ident: str) -> Measures:
        line, made, shape, limits = read[:4]
        at = self._index
        writer, sequence = self._event(ident)
        record = self._record
        record[0], record[1], record[2], record[3] = sequence, writer, line.number, who & WHO
        cluster = index.enter(
            made.marks, made.sketch, made.own, record, shape, limits, self._principals.recent[row],
            at.table, at.sketches, at.owns, at.exact, at.sequences, at.places, at.members,
            at.ids, at.state, at.clock, at.numbers, at.whole,
        )  # fmt: skip
        found, place, grown, when, by, whose = at.whole.tolist()
        near, delta, _, turn = at.numbers.tolist()
        asked, fresh = self._principals.note(row, int(cluster), place)
        marks = made.marks[CARRIED].tolist()
        there = found >= 0
        mark = int(at.exact[found]) if there else 0
        self._pending[marks[0]] = _Waiting(place, found, mark, near >= index.LINKED, row, line)
        if len(self._pending) > PENDING:
            self._pending.popitem(last=False)
        return Measures(
            marks=tuple(marks),
            near=near if there else 0.0,
            near_to=f"{self._names[by]}:{when}" if there and by >= 0 else None,
            near_same=whose == who & WHO if there else None,
            cluster=int(cluster),
            size=grown,
            delta=delta if there else None,
            turn=turn if math.isfinite(turn) else None,
            asked=asked,
            fresh=fresh,
            broken=read.broken,
            broken_by=read.broken_by,
            norm=made.norm,
        )

    def _event(self, ident: str) -> tuple[int, int]:
        writer, _, sequence = ident.rpartition(":")
        number = self._writers.get(writer, -1)
        if number < 0 and len(self._names) < WRITERS:
            number = self._writers[writer] = len(self._names)
            self._names.append(writer)
        return number, int(sequence)

    def _complete(self, measured: Measures, read: answers.Answer, name: str | None) -> Measures:
        label, confidence, margin, bits = read
        known = label
        if known is None and name is not None:
            known = self._who(name) & WHO
        waiting = self._pending.pop(measured.marks[0], None) if measured.marks else None
        flipped = None
        total = None
        if waiting is not None:
            before = -1
            exact, places = self._index.exact, self._index.places
            if waiting.found >= 0 and int(exact[waiting.found]) == waiting.found_mark:
                before = int(places[waiting.found, index.LABEL])
            if known is not None:
                known &= WHO
                if before >= 0:
                    flipped = before != known
                if int(exact[waiting.place]) == measured.marks[0]:
                    places[waiting.place, index.LABEL] = known
            if measured.delta != 0.0:
                bits += self._leaked(waiting, known, flipped)
            else:
                bits = 0.0
            total = self._principals.serve(waiting.row, bits)
        return msgspec.structs.replace(
            measured,
            label=label,
            label_name=name,
            confidence=confidence,
            margin=margin,
            flipped=flipped,
            bits=total,
        )

    def _leaked(self, waiting: _Waiting, known: int | None, flipped: bool | None) -> float:
        """Return the information in a label; next to a known one, little but for a flip."""
        if known is None:
            return 0.0
        line = waiting.line
        count = line.labels.get(known, 0)
        told = answers.surprise(count, line.answered, len(line.labels))
        if count or len(line.labels) < LABELS:
            line.labels[known] = count + 1
        line.answered += 1
        if waiting.linked and flipped is not None:
            return 3.3 if flipped else 0.15
        return told
