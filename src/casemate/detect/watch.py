"""The watch: events in, detections out, near line and over the past alike.

Holds what the rules look at (models, accounts, streams of near-duplicates), all of it bounded,
asks each rule at its moments and gathers what they see into campaigns. Pure: its clock is the
events'. It works on events alone, so any number of guards, or an imported log, can feed it; the
same events in the same order give the same detections with the same ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.detect import verdicts
from casemate.detect.accounts import OPENING, Account
from casemate.detect.campaigns import Campaigns, stable_id, subject_of
from casemate.detect.models import Baseline, Model
from casemate.detect.pending import Pending
from casemate.detect.rule import Budget, Limits, Rule, Seen, Sighting
from casemate.detect.streams import Gain, Stream
from casemate.records.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casemate.detect.verdicts import Conclusion
    from casemate.records.event import Event

ACCOUNTS, STREAMS, FIRSTS = 100_000, 50_000, 200_000
"""Most accounts of a model, streams and first inputs of clusters held; the oldest goes first."""
AGAIN = 86_400 * 1_000_000
"""Microseconds after which a rule may speak of the same subject again."""
HOUR = 3600 * 1_000_000
"""The same while more of it is seen, unless `Watch.again` says otherwise."""
TENTH = 10
"""The input of a principal at which the model learns from it what principals send."""
_TICK = 60 * 1_000_000


class _First(NamedTuple):
    """An input that was nobody's near-duplicate."""

    cluster: int
    at: int
    label: int | None
    margin: float | None


class _Told(NamedTuple):
    """What was said of a subject last."""

    at: int
    queries: int
    first: int | None
    """How many queries had been seen when it was first spoken of."""


class Watch:
    """Rules over a stream of events.

    Args:
        model_baselines: What is usual for a model, by name, learned from other traffic
            (`casemate.detect.models.Baseline`). A model that is not in it learns as it goes.
        rules: Catalog ids of the detections to look for; None: all that the catalog has.
        pages: False pages allowed in a week and model.
    """

    def __init__(
        self,
        model_baselines: Mapping[str, Baseline] | None = None,
        rules: Iterable[str] | None = None,
        *,
        pages: float = 1.0,
    ) -> None:
        self.budget = Budget(pages)
        self.again = HOUR
        """Microseconds after which a rule speaks again of what goes on."""
        self.models: dict[tuple[str, str | None], Model] = {}
        self._given = dict(model_baselines or {})
        self._streams: dict[tuple[str, int, str | None], Stream] = {}
        self._firsts: dict[str, _First] = {}
        self._homes: dict[str, Stream] = {}
        self._campaigns = Campaigns()
        self._pending = Pending()
        self._now = 0
        self._next_tick = 0
        self.record = verdicts.Record()
        self._told: dict[str, _Told] = {}
        known = loader.entries("detections", Detector)
        chosen = (
            known if rules is None else {i: loader.entry("detections", i, Detector) for i in rules}
        )
        self._entries = {i: e for i, e in chosen.items() if e.entry is not None and not e.inline}
        paging = sum(entry.pages for entry in self._entries.values())
        made = {i: make_rule(e, Limits(self.budget, paging)) for i, e in self._entries.items()}
        self._step = [(i, rule.step) for i, rule in made.items() if rule.step is not None]
        self._input = [(i, rule.input) for i, rule in made.items() if rule.input is not None]
        self._other = [(i, rule.other) for i, rule in made.items() if rule.other is not None]
        self._tick = [(i, rule.tick) for i, rule in made.items() if rule.tick is not None]

    def feed(self, events: Iterable[Event]) -> list[Detection]:
        """Look at events, in order of time as far as may be, and return what is new."""
        out: list[Detection] = []
        for event in events:
            if event.at > self._now:
                self._now = event.at
            if event.kind == "inference":
                if not self._pending.hold(event):
                    self._inference(event, out)
                elif self._pending.full:
                    self._unanswered(self._pending.due(self._now), out)
            else:
                self._aside(event, out)
            if self._now >= self._next_tick:
                out += self.tick(self._now)
        return out

    def tick(self, now: int) -> list[Detection]:
        """Let time pass: what is seen over a while, and what can be forgotten."""
        self._now = max(now, self._now)
        self._next_tick = self._now + _TICK
        out: list[Detection] = []
        self._unanswered(self._pending.due(self._now), out)
        for (name, marked), model in list(self.models.items()):
            for ident, rule in self._tick:
                for sighting in rule(self._now, model):
                    self._tell(ident, sighting, name, marked, out)
        self._campaigns.forget(self._now)
        self._told = {key: told for key, told in self._told.items() if self._now - told.at < AGAIN}
        return out

    def finish(self) -> list[Detection]:
        """Look at what still waits for its answer, when no more events come."""
        out: list[Detection] = []
        self._unanswered(self._pending.rest(), out)
        return out

    def restore(self, detections: Iterable[Detection]) -> None:
        """Remember what an earlier watch said: its campaigns go on, and nothing is said twice."""
        for one in sorted(detections, key=lambda d: (d.made, d.id)):
            if one.campaign is not None:
                self._campaigns.restore(
                    one.campaign, one.model, one.marked, one.principals, one.made
                )
            self._told[subject_of(one.id)] = _Told(one.made, one.queries, one.first_query)

    def conclude(self) -> Conclusion:
        """Say what all the events so far amount to, with reasons."""
        return self.record.conclude()

    # --- one event ---

    def _inference(self, event: Event, out: list[Detection]) -> None:
        m, name, marked = event.measures, event.model, event.marked
        model = self.models.get((name, marked))
        if model is None:
            model = Model(name, event.at, self._baseline(name, marked))
            self.models[name, marked] = model
        model.inputs += 1
        if event.at > model.last_at:
            model.last_at = event.at
        account = model.accounts.get(event.principal)
        if account is None:
            account = Account(event.principal, marked, event.at)
            if len(model.accounts) >= ACCOUNTS:
                del model.accounts[next(iter(model.accounts))]
            model.accounts[event.principal] = account
        account.asked += 1
        account.last_at = event.at
        if account.asked <= OPENING:
            account.opening.append((event.writer, event.sequence))
        self.record.count(m)
        if m.broken:
            account.spoilt += 1
            account.broken += model.breaks.yes
        elif account.broken > 0:
            account.broken = max(0.0, account.broken + model.breaks.no)
        if not event.row and m.delta:
            account.stride(event, m.delta)
        linked = m.size is not None and m.size > 1
        if linked and m.delta == 0:
            account.repeats += 1
        elif _beside(event):
            account.repeats += 1  # asked before the other's answer was known: no step of a search
        elif linked or (m.delta is not None and 0 < m.delta < model.baseline.apart):
            self._near(event, model, account, out)
        else:
            account.near = max(0.0, account.near + model.near.no)
            model.usual(m, account)
            if model.baseline.ready:
                place = model.baseline.place(m)
                account.count(place)
                model.now(account, place)
            self._remember(event)
        if account.asked == TENTH:
            model.peer(account)
        for ident, rule in self._input:
            sighting = rule(event, account, model)
            if sighting is not None:
                self._tell(ident, sighting, name, marked, out)

    def _baseline(self, name: str, marked: str | None) -> Baseline | None:
        """Red-team traffic is held against what is usual for everybody else."""
        if name in self._given:
            return self._given[name]
        everybody = self.models.get((name, None))
        return everybody.baseline if marked is not None and everybody is not None else None

    def _remember(self, event: Event) -> None:
        """Keep a first input, in case others follow it."""
        m = event.measures
        if m.cluster is None:
            return
        if len(self._firsts) >= FIRSTS:
            del self._firsts[next(iter(self._firsts))]
        ident = f"{event.writer}:{event.sequence}"
        self._firsts[ident] = _First(m.cluster, event.at, m.label, m.margin)

    def _near(self, event: Event, model: Model, account: Account, out: list[Detection]) -> None:
        m, marked = event.measures, event.marked
        model.steps += 1
        ident = f"{event.writer}:{event.sequence}"
        deeper = m.near_to in self._homes
        stream = self._stream(event, m.near_to or "", marked)
        if len(self._homes) >= FIRSTS:
            del self._homes[next(iter(self._homes))]
        self._homes[ident] = stream
        gain: Gain = stream.add(event, ident)
        account.step(event, ident, stream, gain, model.near.yes)
        account.deeper += deeper
        seen = Seen(event, account, stream, model)
        for rule_id, rule in self._step:
            sighting = rule(seen)
            if sighting is not None:
                self._tell(rule_id, sighting, event.model, marked, out)

    def _stream(self, event: Event, parent: str, marked: str | None) -> Stream:
        """Return the stream of the input that the event's is nearest to; a new one if it has none.

        A step that is not linked by the guard may begin a cluster there, which joins the stream.
        """
        cluster = event.measures.cluster or 0
        key = (event.model, cluster, marked)
        stream = self._homes.get(parent) or self._streams.get(key)
        if stream is None:
            first = self._firsts.pop(parent, None)
            if first is None:
                stream = Stream(cluster, parent, event.at)
            else:
                stream = Stream(first.cluster, parent, first.at)
                stream.open(first.label, first.margin)
        if key not in self._streams:
            if len(self._streams) >= STREAMS:
                del self._streams[next(iter(self._streams))]
            self._streams[key] = stream
        return stream

    def _unanswered(self, events: Iterable[Event], out: list[Detection]) -> None:
        for event in events:
            self._inference(event, out)

    def _aside(self, event: Event, out: list[Detection]) -> None:
        asked = self._pending.take(event)
        if asked is not None and event.kind != "failed":
            # Judged as the question it was, in its place, with what is known of its answer by now.
            answered = event.kind == "answered"
            known = event.measures if answered else asked.measures
            self._inference(replace(asked, measures=known, status=event.status), out)
        elif event.kind == "answered":
            self.record.late(event.measures)
        if event.kind == "answered":
            return
        self.record.aside(event)
        for ident, rule in self._other:
            sighting = rule(event)
            if sighting is not None:
                self._tell(ident, sighting, event.model, event.marked, out)

    # --- what was seen ---

    def _tell(
        self, rule: str, seen: Sighting, model: str, marked: str | None, out: list[Detection]
    ) -> None:
        ident = stable_id("det", self._now, rule, model, seen.subject, marked)
        key = subject_of(ident)
        told = self._told.get(key)
        if told is not None:
            # What is counted and has another count goes on: orders that rest on it must not end.
            more = seen.counted and seen.queries != told.queries
            if self._now - told.at < (self.again if more else AGAIN):
                return
        first = told.first if told is not None else seen.queries if seen.counted else None
        self._told[key] = _Told(self._now, seen.queries, first)
        entry = self._entries[rule]
        campaign = self._campaigns.join(
            model, marked, seen.principals, seen.clusters, seen.began, self._now
        )
        detection = Detection(
            id=ident,
            rule=rule,
            conclusion=entry.conclusion,
            severity=entry.severity,
            confidence=seen.confidence or entry.confidence,
            message=seen.message,
            model=model,
            principals=seen.principals,
            began=seen.began,
            ended=self._now,
            made=self._now,
            queries=seen.queries,
            first_query=first,
            events=seen.events[:64],
            score=seen.score,
            bar=seen.bar,
            campaign=campaign.id,
            next_steps=entry.next_steps,
            marked=marked,
        )
        self.record.detected(detection, pages=entry.pages)
        out.append(detection)


def make_rule(entry: Detector, limits: Limits) -> Rule:
    """Make the rule that an entry names, with the entry's parameters.

    Raises:
        CatalogError: The entry names no function.
    """
    values = {name: spec.default for name, spec in entry.params.items()}
    made = loader.load(entry)(limits, **values)
    if not isinstance(made, Rule):
        raise TypeError(f"{entry.entry} makes no Rule")
    return made


def _beside(event: Event) -> bool:
    """Say whether the nearest earlier input came in the same request."""
    writer, _, sequence = (event.measures.near_to or "").rpartition(":")
    return (
        event.rows > 1
        and writer == event.writer
        and sequence.isdecimal()
        and 0 < event.sequence - int(sequence) <= event.row
    )
