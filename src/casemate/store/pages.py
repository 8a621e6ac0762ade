"""PageBook: who has been told what, so that a campaign pages once whoever dies or restarts.

The memory of `casemate.notify.pager`. Deciding to tell and keeping what is to be told is one
transaction: a page is neither lost nor decided twice, however many processes watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from casemate.store.workspace import Workspace

State = Literal["posted", "repeated", "held"]
_HOUR = 3600 * 1_000_000


class Weight(NamedTuple):
    """How grave a topic is, in two respects; more is worse in each."""

    severity: int
    conclusion: int


class Waiting(NamedTuple):
    """A topic nobody has been told of on this channel, or not for long."""

    topic: str
    times: int
    """How often it was told before."""
    body: bytes


class Posted(NamedTuple):
    """A page decided on: its id and body, and the topics it tells of."""

    id: str
    body: bytes
    topics: tuple[str, ...]


class Due(NamedTuple):
    """A page to deliver now."""

    id: str
    channel: str
    made: int
    tries: int
    body: bytes


class PageBook:
    """The pages of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def post(
        self,
        channel: str,
        seen: Mapping[str, bytes],
        compose: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        now: int,
        weights: Mapping[str, tuple[int, int]] | None = None,
        again: int | None = None,
        most: int | None = None,
        pause: int = 0,
    ) -> dict[str, State]:
        """Decide what is told on a channel, keep it until delivered, and say what became of each.

        Args:
            channel: Its name.
            seen: What there is to tell, by topic.
            compose: Makes pages of topics that wait; called inside the transaction.
            now: Microseconds since the epoch, as all times here.
            weights: Severity and conclusion of a topic, none being (0, 0): one that rises in either
                above what was told of it is told again at once.
            again: A topic told longer ago than this is told again; None for never.
            most: Pages an hour beyond which topics are held ...
            pause: ... until this long after the last page, and then told together.
        """
        states: dict[str, State] = {}
        with self._workspace.writing() as database:
            for topic, given in seen.items():
                body = given
                weight = Weight(*(weights or {}).get(topic, (0, 0)))
                row = database.execute(
                    """SELECT told, severity, conclusion, body FROM topics
                    WHERE channel = ? AND topic = ?""",
                    (channel, topic),
                ).fetchone()
                if row is not None:
                    told, before, old = row[0], Weight(row[1], row[2]), row[3]
                    rises = any(new > was for new, was in zip(weight, before, strict=True))
                    lately = told is not None and (again is None or now - again < told)
                    if lately and not rises:
                        database.execute(
                            "UPDATE topics SET seen = ? WHERE channel = ? AND topic = ?",
                            (now, channel, topic),
                        )
                        states[topic] = "repeated"
                        continue
                    if told is None and weight < before:
                        body = old  # what waits is the graver
                    if told is None or lately:
                        weight = Weight(*map(max, weight, before))
                database.execute(
                    """INSERT INTO topics
                        (channel, topic, told, times, seen, body, severity, conclusion)
                    VALUES (?1, ?2, NULL, 0, ?3, ?4, ?5, ?6)
                    ON CONFLICT DO UPDATE
                        SET told = NULL, seen = ?3, body = ?4, severity = ?5, conclusion = ?6""",
                    (channel, topic, now, body, *weight),
                )
                states[topic] = "held"
            (pages, last) = database.execute(
                "SELECT count(*), max(made) FROM pages WHERE channel = ? AND made BETWEEN ? AND ?",
                (channel, now - _HOUR, now),
            ).fetchone()
            if most is not None and pages >= most and now - last < pause:
                return states
            rows = database.execute(
                """SELECT topic, times, body FROM topics WHERE channel = ? AND told IS NULL
                ORDER BY seen, topic""",
                (channel,),
            ).fetchall()
            for page in compose([Waiting(*row) for row in rows]) if rows else ():
                database.execute(
                    """INSERT OR IGNORE INTO pages (id, channel, state, made, next, tries, body)
                    VALUES (?, ?, 'due', ?, ?, 0, ?)""",
                    (page.id, channel, now, now, page.body),
                )
                for topic in page.topics:
                    database.execute(
                        """UPDATE topics SET told = ?, times = times + 1
                        WHERE channel = ? AND topic = ?""",
                        (now, channel, topic),
                    )
                    states[topic] = "posted"
        return states

    def claim(self, now: int, lease: int, limit: int = 32) -> list[Due]:
        """Take pages that wait to be delivered; nobody else gets them before `lease` is over.

        A clock set back does not keep a page waiting for longer than an hour.
        """
        with self._workspace.writing() as database:
            rows = database.execute(
                """SELECT id, channel, made, tries, body FROM pages
                WHERE state = 'due' AND (next <= ?1 OR next > ?1 + ?2)
                ORDER BY tries, made LIMIT ?3""",
                (now, _HOUR, limit),
            ).fetchall()
            database.executemany(
                "UPDATE pages SET next = ? WHERE id = ?", [(now + lease, row[0]) for row in rows]
            )
        return [Due(*row) for row in rows]

    def settle(self, page: str, state: Literal["sent", "lost"]) -> None:
        """Keep that a page was delivered, or that nobody will try any more."""
        with self._workspace.writing() as database:
            database.execute("UPDATE pages SET state = ? WHERE id = ?", (state, page))

    def postpone(self, page: str, until: int, *, tried: bool) -> None:
        """Let a page wait until then."""
        with self._workspace.writing() as database:
            database.execute(
                "UPDATE pages SET next = ?, tries = tries + ? WHERE id = ?", (until, tried, page)
            )

    def forget(self, before: int) -> None:
        """Drop what was told and last seen before then."""
        with self._workspace.writing() as database:
            database.execute("DELETE FROM pages WHERE state <> 'due' AND made < ?", (before,))
            database.execute(
                "DELETE FROM topics WHERE told IS NOT NULL AND told < ?1 AND seen < ?1", (before,)
            )
