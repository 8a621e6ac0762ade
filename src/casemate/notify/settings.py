"""`[notify]` of casemate.toml: who is told, and how."""

from __future__ import annotations

from typing import Literal

import msgspec


class ChannelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[notify.channel]]`: one way of telling somebody."""

    kind: Literal["webhook", "syslog", "ocsf"]
    to: str
    """`https://...`, `udp://host:514`, `tcp://host:601`, or a file for `ocsf`."""
    secret_env: str | None = None
    """Environment variable with the secret that signs a webhook."""
    at_least: Literal["critical", "important", "moderate", "low"] = "important"
    """Only detections at or above this severity."""


class MuteTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[notify.mute]]`: do not page for this, until a day."""

    reason: str
    expires: str
    """ISO 8601 day or time; no mute is for ever."""
    rule: str | None = None
    principal: str | None = None
    model: str | None = None


class NotifyTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[notify]`."""

    channel: tuple[ChannelTable, ...] = ()
    mute: tuple[MuteTable, ...] = ()
    again_after: str = "24h"
    """A campaign that goes on is told once more after this."""
