"""Campaigns: detections that belong together, so that one attack wakes somebody up once.

Two detections on a model are of one campaign when they share a principal or a near-duplicate
cluster within a day. An id is made from the first event, so that the same events fed again, after a
restart or in a hunt, give the same campaign.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

IDLE = 86_400 * 1_000_000
"""Microseconds after which a campaign is over."""
MOST = 4096
"""Principals and clusters of one campaign that are remembered as its own."""
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def stable_id(kind: str, at: int, *parts: object) -> str:
    """Return `<kind>-` and 26 characters that sort by `at`, the same for the same parts."""
    text = "\x00".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    tail = int.from_bytes(hashlib.blake2b(text, digest_size=10).digest(), "big")
    number = (max(0, at) // 1000 & (1 << 48) - 1) << 80 | tail
    return f"{kind}-{''.join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))}"


def subject_of(ident: str) -> str:
    """Return the part of an id from `stable_id` that is the same for the same parts."""
    return ident[-16:]


class Campaign:
    """What is known to belong together."""

    __slots__ = ("clusters", "id", "last", "principals")

    def __init__(self, ident: str, at: int) -> None:
        self.id, self.last = ident, at
        self.principals: dict[str, int] = {}
        """How many inputs of each are known to belong to it."""
        self.clusters: set[int] = set()


class _Key(NamedTuple):
    model: str
    marked: str | None
    part: str | int


class Campaigns:
    """Gathers detections into campaigns."""

    def __init__(self) -> None:
        self._by: dict[_Key, Campaign] = {}

    def join(
        self,
        model: str,
        marked: str | None,
        principals: tuple[str, ...],
        clusters: tuple[int, ...],
        began: int,
        at: int,
    ) -> Campaign:
        """Return the campaign of a detection, with its parts added; a new one if it has none.

        Campaigns that a detection turns out to tie together become one, under the older's id.
        """
        together: tuple[str | int, ...] = (*principals, *clusters)
        keys = [_Key(model, marked, part) for part in together]
        found = {c.id: c for c in map(self._by.get, keys) if c is not None and at - c.last < IDLE}
        if found:
            campaign, *others = sorted(found.values(), key=lambda c: c.id)
        else:
            campaign = Campaign(stable_id("cam", began, model, marked, *principals[:1]), at)
            others = []
        for other in others:
            campaign.principals |= other.principals
            campaign.clusters |= other.clusters
            parts: tuple[str | int, ...] = (*other.principals, *other.clusters)
            self._by |= {_Key(model, marked, part): campaign for part in parts}
        campaign.last = max(at, campaign.last)
        for principal in principals:
            campaign.principals.setdefault(principal, 0)
        campaign.clusters.update(clusters)
        if len(campaign.principals) + len(campaign.clusters) <= MOST:
            self._by |= dict.fromkeys(keys, campaign)
        return campaign

    def restore(
        self, ident: str, model: str, marked: str | None, principals: tuple[str, ...], at: int
    ) -> None:
        """Remember a campaign of before, by the principals that are known to belong to it."""
        keys = [_Key(model, marked, part) for part in principals[:MOST]]
        known = {c.id: c for c in map(self._by.get, keys) if c is not None}
        campaign = known.get(ident) or Campaign(ident, at)
        campaign.last = max(at, campaign.last)
        campaign.principals |= dict.fromkeys(principals[:MOST], 0)
        self._by |= dict.fromkeys(keys, campaign)

    def of(self, model: str, part: str | int, at: int, marked: str | None = None) -> str | None:
        """Return the id of the running campaign a principal or a cluster belongs to, if any."""
        found = self._by.get(_Key(model, marked, part))
        return found.id if found is not None and at - found.last < IDLE else None

    def forget(self, now: int) -> None:
        """Let go of campaigns that are over."""
        self._by = {key: c for key, c in self._by.items() if now - c.last < IDLE}
