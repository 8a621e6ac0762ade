"""The walk through one file: recognise, read, judge, and go into every part.

Readers say what they see, this module gives it meaning: parts are walked in turn, pickles are
judged, trouble becomes findings, and every byte is accounted for. Nothing here knows a format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.catalog.loader import load
from casemate.errors import FormatError, LimitExceeded
from casemate.formats.budget import DEPTH
from casemate.formats.recognise import recognise
from casemate.formats.seen import Coverage, Part, Span, Stream, Trouble
from casemate.scan.coverage import Share, count
from casemate.scan.wording import finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.catalog.entries import Format
    from casemate.formats.budget import Budget
    from casemate.formats.pickle_trace import PickleTrace
    from casemate.formats.source import Source
    from casemate.records.finding import Finding
    from casemate.records.target import Target

LISTED = 20
"""Unread members that are named one by one."""
CARVED_TEXT = 1 << 20
"""Text up to this size is searched for a pickle that ends with it."""


class Walk:
    """One file's walk, and what it gathers.

    Args:
        target: The file.
        budget: Its allowance.
        trusted: Reasons by import name or file digest, from waivers.
    """

    def __init__(self, target: Target, budget: Budget, trusted: Mapping[str, str]) -> None:
        self.target = target
        self.budget = budget
        self.trusted = trusted
        self.findings: dict[str, Finding] = {}
        self.reasons: list[str] = []
        """Why the file could not be read whole."""
        self.formats: list[str] = []
        """Of the file itself."""
        self._unread = 0
        self._inside: tuple[str, ...] = ()

    def read(
        self, source: Source, member: str | None = None, depth: int = 0, *, opaque: bool = False
    ) -> Coverage:
        """Walk one source and return how much of it could be accounted for."""
        if depth > DEPTH:
            said = f"archives are nested more than {DEPTH} deep"
            self.trouble(Trouble("archive-too-deep", "depth", said), member)
            return self._refuse(source, said, member)
        formats = recognise(source, opaque=opaque)
        if depth == 0:
            self.formats = [entry.id for entry in formats]
        spans: list[Span] = []
        shares: list[Share] = []
        outside: list[Part] = []
        for entry in formats:
            self._format(entry, source, member, depth, spans, shares, outside)
        if not formats:
            self._unrecognised(source, member, spans, opaque=opaque)
        for part in outside:
            # Where the bytes are of two formats, what is outside of one is mostly the other.
            missing = count(source.size, spans, shares).unmentioned
            if any(start < part.end and part.start < end for start, end in missing):
                self._part(part, member, depth, shares)
        counted = count(source.size, spans, shares)
        for start, end in counted.unmentioned:
            self._incomplete(f"bytes {start} to {end} were not read", member)
        for span in spans:
            if span.state == "refused" and span.end > span.start:
                self._incomplete(span.why or f"bytes {span.start} to {span.end} not read", member)
        source.memo.clear()
        return counted.coverage

    def trouble(self, seen: Trouble, member: str | None) -> None:
        """Turn trouble into a finding, once per rule, place and subject."""
        inner = seen.member if member is None else member
        if seen.member is not None and member is not None:
            inner = f"{member} > {seen.member}"
        self._add(
            finding(
                seen.rule,
                self.target,
                seen.subject,
                seen.message,
                member=inner,
                offset=seen.offset,
            )
        )

    def _add(self, found: Finding) -> None:
        self.findings.setdefault(found.fingerprint, found)

    def _format(
        self,
        entry: Format,
        source: Source,
        member: str | None,
        depth: int,
        spans: list[Span],
        shares: list[Share],
        outside: list[Part],
    ) -> None:
        if entry.entry is None:
            self._not_read(entry, source, member, spans)
            return
        reading = load(entry)(source, self.budget)
        reply: Coverage | None = None
        try:
            while True:
                try:
                    seen = reading.send(reply)
                except StopIteration:
                    break
                reply = None
                if isinstance(seen, Part) and seen.outside:
                    outside.append(seen)
                elif isinstance(seen, Part):
                    reply = self._part(seen, member, depth, shares)
                elif isinstance(seen, Stream):
                    self._stream(seen.trace, member, depth, spans)
                elif isinstance(seen, Trouble):
                    self.trouble(seen, member)
                else:
                    spans.append(seen)
        except FormatError as error:
            rule = "scan-incomplete" if isinstance(error, LimitExceeded) else "format-malformed"
            self.trouble(Trouble(rule, entry.id, f"{entry.title}: {error}", error.offset), member)
            self._incomplete(f"{entry.title}: {error}", member)
        finally:
            reading.close()
        if entry.id == "text" and source.size <= CARVED_TEXT:
            self._carve(source, member, to_the_end=True)

    def _part(self, part: Part, member: str | None, depth: int, shares: list[Share]) -> Coverage:
        name = part.name if member is None else f"{member} > {part.name}"
        before, self._inside = self._inside, part.inside
        inner = self.read(part.source, name, depth + 1, opaque=part.opaque)
        self._inside = before
        shares.append(Share(part.start, part.end, inner))
        return inner

    def _stream(
        self, traced: PickleTrace, member: str | None, depth: int, spans: list[Span]
    ) -> None:
        from casemate.scan.pickles import TRUSTABLE, judge

        vouched = self.target.digest is not None and self.target.digest in self.trusted
        trusted = dict(self.trusted)
        if self._inside:
            names = (f"{module}.{name}" for module, name, _ in traced.names)
            trusted |= {name: "in the archive" for name in names if name.startswith(self._inside)}
        for found in judge(traced, target=self.target, member=member, trusted=trusted):
            if not (vouched and found.rule in TRUSTABLE):
                self._add(found)
        spans += [Span(inner.start, inner.end, "scanned") for inner in traced.inner]
        position = traced.start
        for offset, size in sorted(traced.arrays):
            spans.append(Span(position, offset, "scanned"))
            spans.append(Span(offset, offset + size, "data"))
            position = max(position, offset + size)
        spans.append(Span(position, traced.end, "scanned"))
        for payload in traced.payloads:
            name = f"bytes for {payload.reader}"
            inner = payload.view(traced.source)
            full = name if member is None else f"{member} > {name}"
            self.read(inner, full, depth + 1)

    def _not_read(
        self, entry: Format, source: Source, member: str | None, spans: list[Span]
    ) -> None:
        if entry.executes != "yes":
            self._carve(source, member)
        if entry.executes == "no":
            spans.append(Span(0, source.size, "data"))
            return
        why = f"{entry.title} is not read by casemate yet"
        self._unread_part("format-not-read", entry.id, why, member)
        spans.append(Span(0, source.size, "refused", why))

    def _unrecognised(
        self, source: Source, member: str | None, spans: list[Span], *, opaque: bool
    ) -> None:
        if opaque:
            spans.append(Span(0, source.size, "data"))
            return
        self._carve(source, member)
        why = f"{source.size:,} bytes are of no format casemate knows"
        self._unread_part("format-unknown", "unknown", why, member)
        spans.append(Span(0, source.size, "refused", why))

    def _unread_part(self, rule: str, subject: str, why: str, member: str | None) -> None:
        self._unread += 1
        if self._unread <= LISTED:
            self.trouble(Trouble(rule, subject, why, 0), member)

    def _carve(self, source: Source, member: str | None, *, to_the_end: bool = False) -> None:
        """Judge the pickles inside bytes that no reader accounts for."""
        from casemate.formats.carving import carve

        try:
            for traced in carve(source, self.budget):
                rest = source.read(traced.end, 64) if to_the_end else b""
                if to_the_end and (not traced.complete or rest.strip()):
                    continue
                self._stream(traced, member, DEPTH - 1, [])
        except LimitExceeded as error:
            self.trouble(
                Trouble("scan-incomplete", "search", f"search for pickles: {error}"), member
            )
            self._incomplete(str(error), member)

    def _refuse(self, source: Source, why: str, member: str | None) -> Coverage:
        self._incomplete(why, member)
        return Coverage(0, 0, source.size)

    def _incomplete(self, why: str, member: str | None) -> None:
        reason = f"{member}: {why}" if member else why
        if len(self.reasons) < LISTED and reason not in self.reasons:
            self.reasons.append(reason)
