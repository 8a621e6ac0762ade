"""Checks of a playbook that ask the events: who asked what, and what changed since.

Each is one query narrowed to the case's time, so that it takes seconds whatever the store holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.case.playbook import Result
from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.workflows.checks import Scene

_HOUR = 3_600_000_000
_MINUTE = 60_000_000
_BEFORE = 24 * _HOUR
_QUARTER = 0.25
"""An attack whose rate or success falls to this share of what it was has lost its grip."""
_FEWEST = 20
"""Requests of others on each side below which no share is told."""
_SHOWN = 5
_ASKED = "kind IN ('inference', 'refused')"
_FULL = "kind = 'inference' AND NOT enforced"
_COLUMNS = {"flips": 4, "clusters": 3, "coverage": 2, "bits": 6, "broken": 5}


class Window(NamedTuple):
    """The time of an incident, in microseconds since the epoch."""

    began: int
    ended: int


def suspect_profile(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """What did the suspects ask, and what did they get?

    Where nobody is suspected, the principals that lead by the figure are told instead.
    """
    figure = arguments.get("figure", "flips")
    if figure not in _COLUMNS:
        raise UsageError(f"there is no figure '{figure}'", hint=f"one of {', '.join(_COLUMNS)}")
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    names = scene.suspects
    rows = _ask(
        scene,
        window.began - _BEFORE,
        "SELECT principal, sum(CASE WHEN kind <> 'answered' THEN 1 ELSE 0 END), "  # noqa: S608
        "count(DISTINCT input_digest), count(DISTINCT cluster), "
        "sum(CASE WHEN flipped THEN 1 ELSE 0 END), sum(CASE WHEN broken > 0 THEN 1 ELSE 0 END), "
        'max(bits) FROM events WHERE "at" >= ? AND "at" <= ? '
        f"AND {_asked_or_answered()}{_among('principal', names)} GROUP BY principal",
        (window.began, window.ended, *names),
    )
    if not rows:
        return Result("waiting", "no event of theirs is on record in the window")
    column = _COLUMNS[figure]
    rows.sort(key=lambda row: (-(row[column] or 0), row[0] or ""))
    told = [
        f"{who or 'nobody named'}: {asked or 0} queries, {distinct} distinct inputs in {clusters} "
        f"clusters, {flips or 0} flips, {broken or 0} contract breaks, "
        + ("bits not measured" if bits is None else f"{bits:.0f} bits served")
        for who, asked, distinct, clusters, flips, broken, bits in rows
    ]
    head = f"by {figure}" if names else f"nobody is suspected; the first by {figure}"
    return Result("done", f"{head}: {_some(told)}")


def labels_asked(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Which labels were asked for, and how sure was the model?"""
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    names = scene.suspects
    rows = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT label, label_name, count(*), avg(confidence) FROM events WHERE "at" >= ? '  # noqa: S608
        f'AND "at" <= ? AND label IS NOT NULL{_among("principal", names)} '
        "GROUP BY label, label_name ORDER BY count(*) DESC, label",
        (window.began, window.ended, *names),
    )
    total = sum(row[2] for row in rows)
    if not total:
        return Result("waiting", "no label of theirs is on record in the window")
    told = [
        f"{name or f'label {label}'} {count / total:.0%}"
        + ("" if sure is None else f" (confidence {sure:.2f} on average)")
        for label, name, count, sure in rows
    ]
    who = "of the suspects" if names else "of everybody"
    return Result("done", f"{total} answers {who}: {_some(told)}")


def answers_moved(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """How far did the shares of the labels move when it began, and was the version another?"""
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    rows = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT "at" >= ?, label, version, count(*) FROM events WHERE "at" >= ? AND "at" <= ? '
        "AND label IS NOT NULL GROUP BY 1, 2, 3",
        (window.began, window.began - _BEFORE, max(window.ended, window.began + _HOUR)),
    )
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    versions: tuple[set[str], set[str]] = (set(), set())
    for after, label, version, count in rows:
        side = int(bool(after))
        sides[side][label] = sides[side].get(label, 0) + count
        versions[side].add(version or "not on record")
    before, after = (sum(one.values()) for one in sides)
    if not before or not after:
        return Result(
            "waiting", f"{before} answers before it began and {after} since: no comparison"
        )
    moved = {
        label: sides[1].get(label, 0) / after - sides[0].get(label, 0) / before
        for label in {*sides[0], *sides[1]}
    }
    distance = sum(abs(one) for one in moved.values()) / 2
    most = max(moved, key=lambda label: (abs(moved[label]), -label))
    return Result(
        "done",
        f"{distance:.0%} of the answers moved, label {most} most ({moved[most]:+.0%}); "
        f"{before} answers before, {after} since; version before: {_names(versions[0])}; "
        f"since: {_names(versions[1])}",
    )


def contract_breaks(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Which inputs break the learned contract, and were there such before?"""
    if scene.loaded.config.guard.contract is None:
        return Result(
            "waiting", "no input is held to a contract: casemate guard --learn-contract FILE"
        )
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    rows = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT "at" >= ?, broken_by, count(*), count(DISTINCT principal) FROM events '  # noqa: S608
        f'WHERE "at" >= ? AND "at" <= ? AND {_ASKED} GROUP BY 1, 2 ORDER BY 3 DESC, 2',
        (window.began, window.began - _BEFORE, window.ended),
    )
    since = [(by, count, people) for after, by, count, people in rows if after]
    broken = [(by, count, people) for by, count, people in since if by]
    total = sum(count for _, count, _ in since)
    if not total:
        return Result("waiting", "no input is on record in the window")
    before = sum(count for after, by, count, _ in rows if not after and by)
    told = [f"{by} ({count} inputs of {people} principals)" for by, count, people in broken]
    share = sum(count for _, count, _ in broken) / total
    words = f"{share:.1%} of {total} inputs break it, {before} did in the day before"
    return Result("done", f"{words}: {_some(told)}" if told else words)


def service_health(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Did requests fail, get slow or go missing since it began?"""
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    rows = _ask(
        scene,
        window.began - _BEFORE,
        "SELECT \"at\" >= ?, count(*), sum(CASE WHEN kind = 'failed' OR status >= 500 THEN 1 "
        'ELSE 0 END), avg(took), sum(lost) FROM events WHERE "at" >= ? AND "at" <= ? '
        "AND kind IN ('inference', 'failed', 'gap', 'bypassed', 'refused') GROUP BY 1",
        (window.began, window.began - _BEFORE, window.ended),
    )
    sides = {
        bool(after): (count, bad or 0, took or 0.0, lost or 0)
        for after, count, bad, took, lost in rows
    }
    if True not in sides:
        return Result("waiting", "nothing is on record in the window")
    count, bad, took, lost = sides[True]
    words = f"since: {bad} of {count} failed, {took / 1000:.1f} ms on average, {lost} missing"
    if False in sides:
        count0, bad0, took0, lost0 = sides[False]
        words += f"; the day before: {bad0} of {count0}, {took0 / 1000:.1f} ms, {lost0} missing"
    return Result("done", words)


def payloads_kept(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """How many of the suspects' inputs were captured whole?"""
    window = _window(scene)
    if window is None:
        return _nothing(scene)
    names = scene.suspects
    ((count, kept),) = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT count(*), count(payload) FROM events WHERE "at" >= ? AND "at" <= ? '  # noqa: S608
        f"AND {_ASKED}{_among('principal', names)}",
        (window.began, window.ended, *names),
    )
    if not count:
        return Result("waiting", "no input of theirs is on record in the window")
    if not kept:
        return Result(
            "failed", f'none of {count} inputs was captured: [guard.capture] keep = "all"'
        )
    return Result("done", f"{kept} of {count} inputs were captured")


def suspects_stopped(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Do the suspects get less than a quarter of what they got before they were contained?

    Only the time that was on record counts: it ends with the last event of anybody.
    """
    window, contained, names = _window(scene), scene.contained, scene.suspects
    models = scene.incident.triage.models if scene.incident.triage is not None else ()
    if window is None or contained is None or not names:
        why = "nobody is suspected" if not names else "nothing has been contained yet"
        return Result("waiting", why)
    rows = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT "at" >= ?, '  # noqa: S608
        f"sum(CASE WHEN {_FULL} THEN 1 ELSE 0 END), sum(CASE WHEN {_ASKED} THEN 1 ELSE 0 END), "
        "sum(CASE WHEN flipped AND NOT enforced THEN 1 ELSE 0 END), "
        'max("at") - min("at") FROM events '
        f'WHERE "at" >= ? AND "at" <= ? AND kind <> \'gap\'{_among("principal", names)} GROUP BY 1',
        (contained, min(window.began, contained - 1), _now(scene), *names),
    )
    sides = {bool(after): tuple(map(int, row)) for after, *row in rows}
    full0, _, flips0, span0 = sides.get(False, (0, 0, 0, 0))
    full, asked, flips, _ = sides.get(True, (0, 0, 0, 0))
    if not full0:
        return Result("waiting", "nothing of theirs is on record before the containment")
    ((others, last),) = _ask(
        scene,
        contained,
        f"SELECT sum(CASE WHEN {_ASKED}{_among('principal', names, wanted=False)} THEN 1 "  # noqa: S608
        'ELSE 0 END), max("at") FROM events WHERE "at" >= ? AND "at" <= ? '
        f"AND kind <> 'gap'{_among('model', models)}",
        (*names, contained, _now(scene), *models),
    )
    # They may have stopped by themselves before: what counts is how fast they asked while they did.
    hours0 = max(span0, _MINUTE) / _HOUR
    hours = max((last or contained) - contained, _MINUTE) / _HOUR
    words = (
        f"before: {full0} answered in full, {flips0} flips, in {_span(hours0)}; "
        f"since: {asked} asked, {full} answered in full, {flips} flips, in {_span(hours)}, "
        f"beside {others or 0} of others"
    )
    if not asked and not others:
        return Result("waiting", f"nobody at all is on record since: does a guard run? {words}")
    if not asked:
        return Result("done", f"they have asked nothing since; {words}")
    slower = full / hours <= _QUARTER * full0 / hours0
    blunter = flips0 > 0 and flips / max(1, full) <= _QUARTER * flips0 / full0
    return Result("done" if slower or blunter else "failed", words)


def others_served(scene: Scene, arguments: Mapping[str, str]) -> Result:
    """Are all other principals refused or failed no more often than before the containment?"""
    contained = scene.contained
    if contained is None:
        return Result("waiting", "nothing has been contained yet")
    worse = float(arguments.get("worse", "0.02"))
    names = scene.suspects
    rows = _ask(
        scene,
        contained - _BEFORE,
        "SELECT \"at\" >= ?, count(*), sum(CASE WHEN kind IN ('refused', 'failed') OR "  # noqa: S608
        'status >= 400 THEN 1 ELSE 0 END) FROM events WHERE "at" >= ? AND "at" <= ? '
        f"AND kind IN ('inference', 'refused', 'failed'){_among('principal', names, wanted=False)} "
        "GROUP BY 1",
        (contained, contained - _BEFORE, _now(scene), *names),
    )
    sides = {bool(after): (count, bad or 0) for after, count, bad in rows}
    count0, bad0 = sides.get(False, (0, 0))
    count, bad = sides.get(True, (0, 0))
    words = f"before: {bad0} of {count0} refused or failed; since: {bad} of {count}"
    if min(count0, count) < _FEWEST:
        return Result("waiting", f"too few requests of others to tell; {words}")
    return Result("done" if bad / count - bad0 / count0 <= worse else "failed", words)


def model_replaced(scene: Scene, arguments: Mapping[str, str]) -> Result:  # noqa: ARG001
    """Does another version answer now than the one of the incident?"""
    window, triage = _window(scene), scene.incident.triage
    if window is None or triage is None:
        return _nothing(scene)
    models = triage.models
    then = _ask(
        scene,
        window.began - _BEFORE,
        'SELECT version, count(*) FROM events WHERE "at" >= ? AND "at" <= ? '  # noqa: S608
        f"AND {_ASKED}{_among('model', models)} GROUP BY version ORDER BY 2 DESC",
        (window.began, window.ended, *models),
    )
    latest = _ask(
        scene,
        window.began - _BEFORE,
        "SELECT version, decision = 'route' AND enforced FROM events WHERE \"at\" > ? "  # noqa: S608
        f"AND kind = 'inference'{_among('model', models)} ORDER BY \"at\" DESC LIMIT 50",
        (max(window.ended, scene.contained or 0), *models),
    )
    if not latest:
        return Result("waiting", "nobody has asked the model since")
    old = {row[0] for row in then}
    still = [version for version, routed in latest if version in old and not routed]
    now = {("routed away" if routed else version or "not on record") for version, routed in latest}
    words = f"then: {_names({one or 'not on record' for one in old})}; now: {_names(now)}"
    if None in old or any(version is None and not routed for version, routed in latest):
        return Result("waiting", f"{words}; set version under [[guard.route]]")
    if still:
        return Result("failed", f"{len(still)} of the last {len(latest)} answers are old; {words}")
    return Result("done", words)


def last_event(scene: Scene, since: int, models: Sequence[str]) -> int | None:
    """Return when an input was last on record since a time, in microseconds since the epoch."""
    rows = _ask(
        scene,
        since,
        f'SELECT max("at") FROM events WHERE "at" > ? AND "at" <= ? AND {_ASKED}'  # noqa: S608
        f"{_among('model', models)}",
        (since, _now(scene), *models),
    )
    return rows[0][0] if rows else None


def _window(scene: Scene) -> Window | None:
    triage = scene.incident.triage
    if scene.query is None or triage is None:
        return None
    began = triage.began if triage.began is not None else triage.since
    ended = triage.ended if triage.ended is not None else triage.until
    if began is None:
        return None
    return Window(began, _now(scene) if ended is None else ended)


def _nothing(scene: Scene) -> Result:
    if scene.query is None:
        return Result("waiting", "there are no events on record: casemate import brings some in")
    return Result("waiting", "the triage has found no time to look at")


def _ask(scene: Scene, since: int, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Ask; segments that end before `since` are not opened, where the store can tell."""
    from casemate.store.telemetry.query import Telemetry

    if scene.query is None:
        return []
    if isinstance(scene.query, Telemetry):
        return scene.query.sql(text, values, since=since)[1]
    return scene.query.sql(text, values)[1]


def _now(scene: Scene) -> int:
    from casemate.workflows.custody import micros

    return micros(scene.now)


def _span(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _asked_or_answered() -> str:
    return "kind IN ('inference', 'refused', 'answered')"


def _among(column: str, names: Sequence[str], *, wanted: bool = True) -> str:
    if not names:
        return ""
    places = ", ".join("?" * len(names))
    return f" AND {column} {'' if wanted else 'NOT '}IN ({places})"


def _names(found: set[str]) -> str:
    return _some(sorted(found)) or "none"


def _some(words: list[str], most: int = _SHOWN) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
