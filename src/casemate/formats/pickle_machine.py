"""The pickle machine: runs a stream on symbols, so that nothing is imported and nothing called.

It follows both unpicklers of CPython (C and Python) and goes on wherever either of them would.
What only one of them accepts, and what no pickler writes, is noted as trouble. Work is linear in
the bytes; memory is bounded by `Limits` and by dropping the contents of ordinary containers.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from casemate.errors import FormatError, LimitExceeded
from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_runs import skip_group
from casemate.formats.pickle_trace import (
    Limits,
    Payload,
    PickleTrace,
    Trouble,
    TroubleKind,
    Use,
    UseKind,
)
from casemate.formats.pickle_values import DATA, Symbol, Unknown, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.formats.source import Source

    Handler = Callable[["Machine"], None]

SMALL_WINDOW = 1 << 12
WINDOW = 1 << 18
MARGIN = 16
"""Longest fixed part of an opcode, rounded up: what must be in the window to read one."""
DETAIL = 10_000
"""Results and tuples kept apart; later ones of the same callable share one symbol."""
PER_TARGET = 4
"""Uses of one target that are kept with their arguments."""
LONG_TUPLE = 1024
HOLES = 1 << 16


OVERLONG = "a frame is longer than the stream: only one unpickler goes on"


class Stopped(Exception):
    """STOP was executed; control flow inside the machine."""


class Machine:
    """The state of one reading. Offsets inside are counted from the start of the stream."""

    def __init__(self, source: Source, start: int, limits: Limits) -> None:
        self.source = source
        self.start = start
        self.size = max(source.size - start, 0)
        self.limits = limits
        wide = self.size >= DATA
        self.memo = array("Q" if wide else "I")
        self.first_symbol = 1 << 63 if wide else 1 << 31
        self.hole = (1 << 64) - 1 if wide else (1 << 32) - 1
        self.holes = 0
        self.dense = True
        """Whether the entries of the memo are numbered without gaps."""
        self.sparse: dict[int, int] = {}
        self.symbols: list[Symbol | tuple[Value, ...]] = []
        self.opaque = Unknown("a tuple whose members were not kept")
        self.persistent_object = Unknown("a persistent object")
        self.stack: list[Value] = []
        self.marks: list[list[Value]] = []
        self.pos = 0
        self.buffer = b""
        self.base = 0
        self.window = SMALL_WINDOW
        self.accounted = 0
        self.frame_end: int | None = None
        self.pure = True
        """Whether the memo holds nothing but data."""
        self.wait = (0, 1)
        """Marks at which no short cut is tried, after so many failures."""
        self.overlong = False
        """Whether a frame claims more than there is."""
        self.protocol = 0
        self.highest_protocol = 0
        self.detail = DETAIL
        self.created = 0
        self.nested = False
        """Whether this stream lies inside another one."""
        self.names: dict[tuple[str, str], Symbol] = {}
        self.attributes: dict[tuple[int, str], Symbol] = {}
        self.uses: dict[tuple[str, int], list[int]] = {}
        self.log: list[Use] = []
        self.troubles: list[Trouble] = []
        self.arrays: list[tuple[int, int]] = []
        self.inner: list[PickleTrace] = []
        self.payloads: list[Payload] = []
        self.persistent: list[Use] = []
        self.result: Value | None = None

    # Reading bytes

    def bytes_at(self, offset: int, n: int) -> bytes:
        """Return up to `n` bytes of the stream at `offset`, from the window when they are there."""
        low = offset - self.base
        if low >= 0 and low + n <= len(self.buffer) - MARGIN:
            return self.buffer[low : low + n]
        return self.source.read(self.start + offset, n)

    def take(self, n: int) -> bytes:
        """Return the next `n` bytes and move past them.

        Raises:
            FormatError: The stream ends before.
        """
        data = self.bytes_at(self.pos, n)
        if len(data) < n:
            raise FormatError("the stream ends inside an opcode", offset=self.pos)
        self.pos += n
        return data

    def line_end(self, offset: int, limit: int | None = None) -> int:
        """Return where the line at `offset` ends, its newline not counted; -1 when it has none."""
        step = 256
        at = offset
        while limit is None or at - offset < limit:
            piece = self.bytes_at(at, step)
            found = piece.find(b"\n")
            if found >= 0:
                return at + found
            at += len(piece)
            if len(piece) < step:
                return -1
            step = min(step * 4, WINDOW)
        raise LimitExceeded("a line is longer than any name", offset=offset)

    # Noting

    def note(self, kind: UseKind, target: Value, args: tuple[Value, ...] | None, code: int) -> None:
        """Keep a use of `target`; of many alike only the first few."""
        known = self.uses.setdefault((kind, id(target)), [])
        if len(known) < PER_TARGET:
            if len(self.log) >= self.limits.uses:
                raise LimitExceeded("too many different imports and calls", offset=self.pos)
            known.append(len(self.log))
            self.log.append(Use(kind, target, args, self.start + self.pos, code))
        else:
            first = known[0]
            self.log[first] = self.log[first]._replace(times=self.log[first].times + 1)

    def trouble(self, kind: TroubleKind, message: str) -> None:
        """Keep a trouble at the present place; of each kind a few are enough."""
        if sum(1 for known in self.troubles if known.kind == kind) < PER_TARGET:
            self.troubles.append(Trouble(kind, self.start + self.pos, message))

    # The memo

    def encode(self, value: Value) -> int:
        """Return the number that stands for a value in the memo."""
        if type(value) is int:
            return value
        if type(value) is tuple:
            if self.detail <= 0:
                return self.encode(self.opaque)
            self.detail -= 1
            self.pure = self.pure and all(type(each) is int for each in value)
            self.symbols.append(value)
            return self.first_symbol + len(self.symbols) - 1
        assert isinstance(value, Symbol)
        if value.index < 0:
            if len(self.symbols) >= self.limits.symbols:
                raise LimitExceeded("too many different objects", offset=self.pos)
            value.index = len(self.symbols)
            self.symbols.append(value)
            self.pure = self.pure and value is self.opaque
        return self.first_symbol + value.index

    def decode(self, code: int) -> Value:
        """Return the value a memo number stands for, and count it as pushed."""
        if code < self.first_symbol:
            return code
        if code == self.hole:
            return self.missing()
        value = self.symbols[code - self.first_symbol]
        if isinstance(value, Symbol):
            value.uses += 1
        return value

    def missing(self) -> Value:
        """Note a memo entry that was never put; both unpicklers stop there."""
        self.trouble("malformed", "an entry of the memo is used that was never put there")
        return Unknown("a memo entry that was never put")

    def put(self, index: int, value: Value) -> None:
        """Set one entry of the memo, wherever it is."""
        code = self.encode(value)
        memo = self.memo
        size = len(memo)
        if size >= self.limits.memo:
            raise LimitExceeded("the memo has too many entries", offset=self.pos)
        if index < size:
            if memo[index] == self.hole:
                self.holes -= 1
            memo[index] = code
        elif index <= size + 64 and not self.sparse and self.holes + index - size <= HOLES:
            self.holes += index - size
            memo.extend([self.hole] * (index - size))
            memo.append(code)
        else:
            if len(self.sparse) >= HOLES:
                raise LimitExceeded("the memo is used with gaps", offset=self.pos)
            self.sparse[index] = code
        self.dense = not self.holes and not self.sparse

    def memoize(self) -> None:
        """Put the top of the stack under the number of entries there are."""
        self.put(len(self.memo) - self.holes + len(self.sparse), self.stack[-1])

    def get(self, index: int) -> Value:
        """Return an entry of the memo."""
        if 0 <= index < len(self.memo):
            return self.decode(self.memo[index])
        if index in self.sparse:
            return self.decode(self.sparse[index])
        return self.missing()

    # Running

    def run(self, handlers: Mapping[int, Handler]) -> PickleTrace:
        """Execute from the start to STOP, to an error or to a bound."""
        complete = False
        try:
            while True:
                self._refill()
                self._loop(handlers)
        except Stopped:
            complete = True
        except LimitExceeded as error:
            self.trouble("limit", str(error))
        except FormatError as error:
            ended = self.pos >= self.size or "ends" in str(error)
            if self.overlong and not ended:
                self.trouble("disagree", OVERLONG)
            self.trouble("truncated" if ended else "malformed", str(error))
        except IndexError:
            self.trouble("malformed", "the stack does not hold what an opcode takes from it")
        return PickleTrace(
            source=self.source,
            start=self.start,
            end=self.start + min(self.pos, self.size),
            complete=complete,
            protocol=self.highest_protocol,
            opcodes_seen=self.pos > 0,
            uses=tuple(self.log),
            troubles=tuple(self.troubles),
            arrays=tuple(self.arrays),
            inner=tuple(self.inner),
            payloads=tuple(self.payloads),
            persistent=tuple(self.persistent),
            result=self.result,
            machine=self,
        )

    def _refill(self) -> None:
        """Read the next window, settle the frame, and now and then count what is held."""
        if self.frame_end is not None and self.pos >= self.frame_end:
            if self.pos > self.frame_end:
                # Reading from a file, C drops what the frame still held and reads on behind it.
                self.trouble("shifted", "an opcode crosses the end of its frame")
            self.frame_end = None
        if self.pos >= self.size:
            raise FormatError("the stream ends without STOP", offset=self.pos)
        low = self.pos - self.base
        if low < 0 or low >= len(self.buffer) - 2 * MARGIN:
            self.window = min(self.window * 2, WINDOW)
            data = self.source.read(self.start + self.pos, self.window)
            if len(data) < min(self.window, self.size - self.pos):
                # The source holds less than it said: a member that lies, a file cut meanwhile.
                self.size = self.pos + len(data)
            self.buffer = data + bytes(MARGIN)
            self.base = self.pos
        if self.pos - self.accounted >= WINDOW or len(self.marks) > self.limits.marks:
            self.accounted = self.pos
            self._account()

    def _account(self) -> None:
        """Forget the members of tuples of constants deep in the stack; refuse what is left over."""
        if len(self.marks) > self.limits.marks:
            raise LimitExceeded("too many marks on the stack", offset=self.pos)
        layers = [*self.marks, self.stack]
        held = sum(map(len, layers))
        for values in layers:
            for index in range(len(values) - 64):
                value = values[index]
                if type(value) is tuple and all(type(each) is int for each in value):
                    values[index] = DATA
        todo = [value for values in layers for value in values if type(value) is tuple]
        while todo and held <= self.limits.stack:
            value = todo.pop()
            held += len(value) + 1
            todo.extend(each for each in value if type(each) is tuple)
        if held > self.limits.stack:
            raise LimitExceeded("too many values on the stack", offset=self.pos)

    def _loop(self, handlers: Mapping[int, Handler]) -> None:
        """Execute the opcodes of the window; the frequent ones here, the others by `handlers`."""
        buffer, base, stack, marks, memo = self.buffer, self.base, self.stack, self.marks, self.memo
        pushes, first_symbol, limit = op.PUSHES, self.first_symbol, self.limits.memo
        frame = self.frame_end
        opaque = self.encode(self.opaque)
        wait, penalty = self.wait
        pos = self.pos - base
        real = min(len(buffer) - MARGIN, self.size - base)
        safe = real if base + real >= self.size else real - MARGIN
        if frame is not None:
            safe = min(safe, frame - base)
        try:
            while pos < safe:
                code = buffer[pos]
                length = pushes[code]
                if length:
                    stack.append(base + pos)
                    pos += length
                elif code == 0x94:  # MEMOIZE
                    value = stack[-1]
                    size = len(memo)
                    if type(value) is int and self.dense and size < limit:
                        memo.append(value)
                    elif type(value) is tuple and self.detail <= 0 and self.dense and size < limit:
                        memo.append(opaque)
                    else:
                        self.pos, self.stack = base + pos, stack
                        self.memoize()
                    pos += 1
                elif code == 0x68:  # BINGET
                    index = buffer[pos + 1]
                    if index < len(memo) and (number := memo[index]) < first_symbol:
                        stack.append(number)
                    else:
                        self.pos = base + pos
                        stack.append(self.get(index))
                    pos += 2
                elif code == 0x8C:  # SHORT_BINUNICODE
                    stack.append(base + pos)
                    pos += 2 + buffer[pos + 1]
                elif code == 0x28:  # MARK
                    if self.pure and self.dense and stack and type(stack[-1]) is int:
                        if wait:
                            wait -= 1
                        else:
                            group = skip_group(
                                buffer,
                                pos,
                                base,
                                real,
                                len(memo),
                                None if frame is None else frame - base,
                            )
                            if group is not None and len(memo) + len(group.puts) < limit:
                                memo.extend(group.puts)
                                pos, penalty = group.end, 1
                                if group.frame is not None and group.frame + base != frame:
                                    self.overlong |= group.frame + base > self.size
                                    self.frame_end = min(group.frame + base, self.size)
                                    break
                                continue
                            wait = penalty = min(penalty * 2, 64)
                    marks.append(stack)
                    stack = []
                    pos += 1
                elif (code == 0x75 or code == 0x65) and type(marks[-1][-1]) is int:
                    stack = marks.pop()  # SETITEMS, APPENDS to an ordinary container
                    pos += 1
                elif code == 0x71:  # BINPUT
                    index = buffer[pos + 1]
                    value = stack[-1]
                    if index == len(memo) and type(value) is int and self.dense:
                        memo.append(value)
                    else:
                        self.pos = base + pos
                        self.put(index, value)
                    pos += 2
                elif code == 0x6A:  # LONG_BINGET
                    index = int.from_bytes(buffer[pos + 1 : pos + 5], "little")
                    if index < len(memo) and (number := memo[index]) < first_symbol:
                        stack.append(number)
                    else:
                        self.pos = base + pos
                        stack.append(self.get(index))
                    pos += 5
                elif code == 0x86:  # TUPLE2
                    value = stack.pop()
                    stack[-1] = (stack[-1], value)
                    pos += 1
                elif code == 0x87:  # TUPLE3
                    value = stack.pop()
                    other = stack.pop()
                    stack[-1] = (stack[-1], other, value)
                    pos += 1
                elif code == 0x58:  # BINUNICODE
                    stack.append(base + pos)
                    pos += 5 + int.from_bytes(buffer[pos + 1 : pos + 5], "little")
                elif code == 0x72:  # LONG_BINPUT
                    index = int.from_bytes(buffer[pos + 1 : pos + 5], "little")
                    value = stack[-1]
                    if index == len(memo) < limit and type(value) is int and self.dense:
                        memo.append(value)
                    else:
                        self.pos = base + pos
                        self.put(index, value)
                    pos += 5
                elif code == 0x73 and type(stack[-3]) is int:  # SETITEM
                    del stack[-2:]
                    pos += 1
                elif code == 0x61 and type(stack[-2]) is int:  # APPEND
                    del stack[-1]
                    pos += 1
                else:
                    self.pos, self.stack = base + pos, stack
                    handler = handlers.get(code)
                    if handler is None:
                        raise FormatError(
                            f"no opcode has the number 0x{code:02x}", offset=base + pos
                        )
                    handler(self)
                    stack, pos = self.stack, self.pos - base
                    if self.frame_end is not frame:
                        break
        except IndexError:
            self.pos = base + pos
            raise
        self.pos, self.stack, self.wait = base + pos, stack, (wait, penalty)
