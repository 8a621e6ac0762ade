"""The Sigma rules of the catalog: listed, converted for the SIEM people have, and run.

A conversion is text that nobody has tried; so `test` runs each rule's own cases through the one
engine that can be had everywhere, SQLite, and `convert` says what the others leave out.
"""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.errors import MissingExtra, UsageError
from casemate.export.siem import FIELDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.catalog.entries import Case, Sample

LANGUAGES = ("splunk", "esql", "kusto", "sqlite")
_COMMENT = {"splunk": "``` {} ```", "esql": "// {}", "kusto": "// {}", "sqlite": "-- {}"}
_ORDINARY: dict[str, str | int | float | None] = {
    "event.action": "inference",
    "event.lost": 0,
    "http.response.status_code": 200,
    "ml.principal.id": "user-0",
    "ml.model.name": "model",
    "ml.query.near_duplicate": "no",
    "ml.query.repeat": "no",
    "ml.query.cluster": "0000000000000000",
    "ml.query.contract_broken": "no",
    "ml.output.flipped": "no",
    "ml.guard.decision": "pass",
    "ml.guard.enforced": "no",
}
"""What a field of an event in a case is unless the case says otherwise."""
_EPOCH = 1_790_000_000 // 86400 * 86400
"""Cases begin on a full day, so that their place in fixed buckets is known."""


class Tried(NamedTuple):
    """What became of one case."""

    rule: str
    case: Case
    fired: bool

    @property
    def passed(self) -> bool:
        """Whether the rule did what the case says it must."""
        return self.fired == self.case.fires


def sigma_rules(wanted: Sequence[str] = ()) -> list[Detector]:
    """Return the detections with a Sigma body, all of them or those asked for.

    Raises:
        UsageError: No such detection, or one without a Sigma body.
    """
    known = loader.entries("detections", Detector)
    if not wanted:
        return [one for one in known.values() if one.body]
    found = [loader.entry("detections", ident, Detector) for ident in wanted]
    for one in found:
        if not one.body:
            raise UsageError(
                f"{one.id} is no Sigma rule: it needs what casemate detect remembers",
                hint="casemate rules list shows those that are",
            )
    return found


def text(rule: Detector) -> str:
    """Return the Sigma file of a rule."""
    return (loader.ROOT / "detections" / str(rule.body)).read_text(encoding="utf-8")


def convert(rule: Detector, to: str) -> str:
    """Return a rule as a query of a SIEM, its title and what it leaves out as comments.

    Args:
        rule: A detection with a Sigma body.
        to: `splunk`, `esql`, `kusto` or `sqlite`.

    Raises:
        UsageError: An unknown language.
        MissingExtra: pySigma is not installed.
    """
    if to not in LANGUAGES:
        raise UsageError(f"no language '{to}'", hint=f"one of {', '.join(LANGUAGES)}")
    said = [f"{rule.id}: {rule.title}"]
    if to == "kusto":
        # Its backend has no correlation; these are written by hand, over a table CasemateEvents
        # with the fields' dots as underscores and the time in TimeGenerated.
        body = (loader.ROOT / "detections" / f"{rule.id}.kql").read_text(encoding="utf-8").strip()
        if "bin(TimeGenerated" in body:
            said.append("counts in fixed buckets: a burst across an edge may be split")
    else:
        queries = _converted(rule, to)
        shifted = [_shifted(query, to) for query in queries]
        if shifted != queries:
            said.append(
                "the second query is shifted by half a window, so that no edge splits a burst"
            )
            queries = [*queries, *shifted]
        body = "\n\n".join(queries)
    head = [_COMMENT[to].format(line) for line in said]
    return "\n".join((*head, body)) + "\n"


def test(rule: Detector) -> list[Tried]:
    """Run each case of a rule through its SQLite conversion.

    Raises:
        MissingExtra: pySigma is not installed.
    """
    query = "\n".join(_converted(rule, "sqlite"))
    return [Tried(rule.id, case, bool(run(query, events(case)))) for case in rule.case]


def events(case: Case) -> list[dict[str, str | int | float | None]]:
    """Return the flat events of a case, in order of time."""
    made = [
        _event(case, number, sample) for sample in case.samples for number in range(sample.count)
    ]
    return sorted(made, key=lambda one: str(one["timestamp"]))


def run(query: str, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Run a converted rule over flat events and return what it found."""
    names = ", ".join(f'"{name}"' for name in FIELDS)
    places = ", ".join("?" for _ in FIELDS)
    with sqlite3.connect(":memory:") as database:
        database.execute(f"CREATE TABLE logs ({names})")
        database.executemany(
            f"INSERT INTO logs VALUES ({places})",  # noqa: S608 - our own names and placeholders
            [[row.get(name) for name in FIELDS] for row in rows],
        )
        return database.execute(query).fetchall()


def _event(case: Case, number: int, sample: Sample) -> dict[str, str | int | float | None]:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(_EPOCH + sample.start + number * sample.every, UTC)
    for name in (*sample.fields, *sample.vary):
        if name not in FIELDS:
            raise UsageError(f"a case speaks of the unknown field '{name}'")
    made: dict[str, str | int | float | None] = dict.fromkeys(FIELDS)
    made.update(_ORDINARY)
    made.update(sample.fields)
    made["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    made["event.id"] = f"w-0000000000000000:{case.samples.index(sample)}-{number}"
    for name in sample.vary:
        made[name] = f"{number:016x}"
    return made


def _converted(rule: Detector, to: str) -> list[str]:
    try:
        from sigma.collection import SigmaCollection

        collection = SigmaCollection.from_yaml(text(rule))
        return [str(one) for one in _backend(to).convert(collection)]
    except ImportError as error:
        raise MissingExtra("sigma", for_="converting Sigma rules") from error


def _backend(to: str) -> Any:
    if to == "splunk":
        from sigma.backends.splunk import SplunkBackend

        return SplunkBackend()
    if to == "esql":
        from sigma.backends.elasticsearch import ESQLBackend

        return ESQLBackend()
    from sigma.backends.sqlite import sqliteBackend

    return sqliteBackend()


def _shifted(query: str, to: str) -> str:
    """Return the query with its fixed buckets moved by half their length."""
    if to == "splunk":
        return re.sub(
            r"\| bin _time span=(\d+)([smhd])",
            lambda found: f"| eval _time=_time+{_half(found)} {found[0]}",
            query,
        )
    if to == "esql":
        return re.sub(
            r"date_trunc\((\d+)(second|minute|hour|day)s?, @timestamp\)",
            lambda found: found[0].replace("@timestamp", f"@timestamp + {_half(found)} seconds"),
            query,
        )
    return query


def _half(found: re.Match[str]) -> int:
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2][0]] // 2
