"""The watch: events in, detections out, near line and over the past alike.

Holds what the rules look at (models, accounts, streams of near-duplicates), all of it bounded,
asks each rule at its moments and gathers what they see into campaigns. Pure: its clock is the
events'. It works on events alone, so any number of guards, or an imported log, can feed it; the
same events in the same order give the same detections with the same ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.detect import verdicts
from casemate.detect.accounts import Account
from casemate.detect.campaigns import Campaigns, stable_id
from casemate.detect.models import Baseline, Model
from casemate.detect.rule import Budget, Limits, Rule, Seen, Sighting
from casemate.detect.streams import Gain, Stream
from casemate.records.detection import Detection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casemate.detect.verdicts import Conclusion
    from casemate.records.event import Event

ACCOUNTS, STREAMS, FIRSTS = 200_000, 50_000, 200_000
"""Most accounts, streams and first inputs of clusters held; the longest silent goes first."""
AGAIN = 86_400 * 1_000_000
"""Microseconds after which a rule may speak of the same subject again."""
_SLICE = 4096
"""Events between two looks at the clock while feeding."""
_TICK = 60 * 1_000_000


class _First(NamedTuple):
    """The first input of a cluster."""

    writer: str
    sequence: int
    at: int
    label: int | None
    margin: float | None
    principal: str


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
        self.models: dict[tuple[str, str | None], Model] = {}
        self._given = dict(model_baselines or {})
        self._accounts: dict[tuple[str, str, str | None], Account] = {}
        self._streams: dict[tuple[str, int, str | None], Stream] = {}
        self._firsts: dict[tuple[str, int, str | None], _First] = {}
        self._campaigns = Campaigns()
        self._now = 0
        self._next_tick = 0
        self.record = verdicts.Record()
        self._told: dict[tuple[str, str, str, str | None], int] = {}
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
                self._inference(event, out)
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
        for (name, marked), model in list(self.models.items()):
            for ident, rule in self._tick:
                for sighting in rule(self._now, model):
                    self._tell(ident, sighting, name, marked, out)
        self._campaigns.forget(self._now)
        self._told = {key: at for key, at in self._told.items() if self._now - at < AGAIN}
        return out

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
        key = (name, event.principal, marked)
        account = self._accounts.get(key)
        if account is None:
            account = Account(event.principal, marked, event.at)
            if len(self._accounts) >= ACCOUNTS:
                del self._accounts[next(iter(self._accounts))]
            self._accounts[key] = account
            model.accounts += 1
        account.asked += 1
        account.last_at = event.at
        account.declared = event.purpose
        self.record.count(m)
        if m.near_to is None or m.size is None or m.size < 2:
            account.near = max(0.0, account.near + model.near.no)
            model.usual(m, account)
            if m.cluster is not None:
                self._remember(event, marked)
        elif m.delta == 0:
            account.repeats += 1
        else:
            self._near(event, model, account, out)
        if account.asked == 10:
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

    def _remember(self, event: Event, marked: str | None) -> None:
        m = event.measures
        if len(self._firsts) >= FIRSTS:
            del self._firsts[next(iter(self._firsts))]
        self._firsts[event.model, m.cluster or 0, marked] = _First(
            event.writer, event.sequence, event.at, m.label, m.margin, event.principal
        )

    def _near(self, event: Event, model: Model, account: Account, out: list[Detection]) -> None:
        m, marked = event.measures, event.marked
        model.steps += 1
        key = (event.model, m.cluster or 0, marked)
        stream = self._streams.get(key)
        if stream is None:
            first = self._firsts.pop(key, None)
            if first is None:
                stream = Stream(key[1], m.near_to or "", event.at)
            else:
                stream = Stream(key[1], f"{first.writer}:{first.sequence}", first.at)
                stream.open(first.label, first.margin)
            if len(self._streams) >= STREAMS:
                del self._streams[next(iter(self._streams))]
            self._streams[key] = stream
        ident = f"{event.writer}:{event.sequence}"
        gain: Gain = stream.add(event, ident, model.baseline.low)
        account.step(event, ident, stream, gain, model.near.yes)
        seen = Seen(event, account, stream, model)
        for rule_id, rule in self._step:
            sighting = rule(seen)
            if sighting is not None:
                self._tell(rule_id, sighting, event.model, marked, out)

    def _aside(self, event: Event, out: list[Detection]) -> None:
        self.record.aside(event)
        for ident, rule in self._other:
            sighting = rule(event)
            if sighting is not None:
                self._tell(ident, sighting, event.model, event.marked, out)

    # --- what was seen ---

    def _tell(
        self, rule: str, seen: Sighting, model: str, marked: str | None, out: list[Detection]
    ) -> None:
        key = (rule, model, seen.subject, marked)
        told = self._told.get(key)
        if told is not None and self._now - told < AGAIN:
            return
        self._told[key] = self._now
        entry = self._entries[rule]
        campaign = self._campaigns.join(
            model, marked, seen.principals, seen.clusters, seen.began, self._now
        )
        detection = Detection(
            id=stable_id("det", self._now, rule, model, seen.subject, marked, seen.began),
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
            first_query=seen.queries if seen.counted else None,
            events=seen.events[:64],
            score=seen.score,
            bar=seen.bar,
            campaign=campaign.id,
            next_steps=entry.next_steps,
            marked=marked,
        )
        self.record.detected(detection)
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
