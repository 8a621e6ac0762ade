"""NATS JetStream as a carrier: one JetStream stream per topic, read by sequence.

Reading asks for one message after the other by its sequence, not through a consumer: there is
nothing on the server to lose when it restarts, and a guard that was away goes on where it was.
Source: https://docs.nats.io/nats-concepts/jetstream.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import MissingExtra, StoreError
from casemate.store.streams.carrier import pause

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

_DAY = 86_400.0
_KEPT = {"events": 7 * _DAY, "orders": 90 * _DAY}
_TIMEOUT = 2.0
_IDLE = 0.2
"""Seconds between questions while nothing new is there."""


class Login(NamedTuple):
    """What the broker wants to know; from the environment, never from an address."""

    user: str | None = None
    password: str | None = None
    token: str | None = None
    credentials: str | None = None
    """File of NATS credentials."""


class Nats:
    """JetStream at one or more servers."""

    def __init__(
        self,
        servers: list[str],
        prefix: str,
        *,
        login: Login | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the servers' addresses; nothing is opened yet.

        Raises:
            MissingExtra: nats-py is not installed.
        """
        try:
            import nats
        except ImportError as error:
            raise MissingExtra("streams", for_="carrying events over NATS") from error
        self._connect = nats.connect
        self._servers = servers
        self._prefix = prefix
        self._login = login or Login()
        self._tls = tls
        self._client: Any = None
        self._heard = ""
        self._lock = asyncio.Lock()
        self._declared: set[str] = set()

    async def put(self, topic: str, key: str, ident: str, data: bytes) -> None:  # noqa: ARG002
        """Store a message; JetStream takes the same ident again within two minutes as the same."""
        from nats.errors import Error, MaxPayloadError

        try:
            jetstream = await self._jetstream(topic)
            await jetstream.publish(
                f"{self._prefix}.{topic}",
                data,
                timeout=_TIMEOUT,
                stream=self._name(topic),
                headers={"Nats-Msg-Id": ident},
            )
        except MaxPayloadError as error:
            raise StoreError(f"NATS takes no message of {len(data):,} bytes") from error
        except (Error, OSError, TimeoutError) as error:
            # A stream that somebody removed is declared again on the next try.
            self._declared.discard(topic)
            raise ConnectionError(f"NATS: {_words(error)}") from error

    async def read(
        self, topic: str, since: int | None, trouble: Callable[[str], None]
    ) -> AsyncIterator[bytes]:
        """Yield messages by sequence, from the first one stored at `since` or later."""
        from nats.errors import Error
        from nats.js.errors import NotFoundError

        place: int | None = None
        tries = 0
        while True:
            try:
                jetstream = await self._jetstream(topic)
                if place is None:
                    place = await self._start(jetstream, topic, since)
                message = await jetstream.get_msg(
                    self._name(topic), seq=place, subject=f"{self._prefix}.{topic}", next=True
                )
            except NotFoundError:
                tries = 0
                await asyncio.sleep(_IDLE)
                place = await self._again(topic, place, trouble)
                continue
            except (Error, OSError, TimeoutError) as error:
                trouble(f"NATS: {_words(error)}")
                await asyncio.sleep(pause(tries))
                tries += 1
                continue
            if tries:
                trouble("")
                tries = 0
            place = message.seq + 1
            yield message.data or b""

    async def close(self) -> None:
        """Let go of the connection."""
        from nats.errors import Error

        if self._client is not None:
            with contextlib.suppress(Error, OSError, TimeoutError):
                await self._client.close()

    async def _jetstream(self, topic: str) -> Any:
        """Return a JetStream context with the topic's stream declared."""
        from nats.js.api import StreamConfig

        async with self._lock:
            if self._client is None or self._client.is_closed:
                self._client = None
                self._declared.clear()
                connecting = self._connect(
                    self._servers,
                    name="casemate",
                    connect_timeout=2,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    allow_reconnect=True,
                    error_cb=self._overheard,
                    user=self._login.user,
                    password=self._login.password,
                    token=self._login.token,
                    user_credentials=self._login.credentials,
                    tls=self._tls,
                )
                # The client would try the first connection for ever, and say nothing.
                try:
                    self._client = await asyncio.wait_for(connecting, 2 * _TIMEOUT)
                except TimeoutError as error:
                    raise ConnectionError(self._heard or "no answer") from error
            jetstream = self._client.jetstream(timeout=_TIMEOUT)
            if topic not in self._declared:
                await self._declare(jetstream, StreamConfig, topic)
                self._declared.add(topic)
        return jetstream

    async def _declare(self, jetstream: Any, config: Any, topic: str) -> None:
        from nats.js.errors import BadRequestError

        try:
            await jetstream.add_stream(
                config(
                    name=self._name(topic),
                    subjects=[f"{self._prefix}.{topic}"],
                    max_age=_KEPT[topic],
                    description="casemate",
                )
            )
        except BadRequestError:
            # It is there with settings of the owner's choice, which stay.
            await jetstream.stream_info(self._name(topic))

    async def _start(self, jetstream: Any, topic: str, since: int | None) -> int:
        """Return the sequence of the first message stored at `since` or later, by halving."""
        state = (await jetstream.stream_info(self._name(topic))).state
        low, high = int(state.first_seq), int(state.last_seq) + 1
        if since is None:
            return low
        while low < high:
            middle = (low + high) // 2
            stored = await self._stored(jetstream, topic, middle)
            if stored is not None and stored < since:
                low = middle + 1
            else:
                high = middle
        return low

    async def _stored(self, jetstream: Any, topic: str, place: int) -> int | None:
        from nats.js.errors import NotFoundError

        try:
            message = await jetstream.get_msg(
                self._name(topic), seq=place, subject=f"{self._prefix}.{topic}", next=True
            )
        except NotFoundError:
            return None
        return None if message.time is None else int(message.time.timestamp() * 1e6)

    async def _again(
        self, topic: str, place: int | None, trouble: Callable[[str], None]
    ) -> int | None:
        """Return where to go on: from the start when the server has lost what it had."""
        from nats.errors import Error

        try:
            jetstream = await self._jetstream(topic)
            state = (await jetstream.stream_info(self._name(topic))).state
        except (Error, OSError, TimeoutError) as error:
            trouble(f"NATS: {_words(error)}")
            self._declared.discard(topic)
            return place
        trouble("")
        return None if place is not None and place > int(state.last_seq) + 1 else place

    async def _overheard(self, error: Exception) -> None:
        """Keep what the client reports in passing: only there it says why it cannot connect."""
        self._heard = _words(error)

    def _name(self, topic: str) -> str:
        return f"{self._prefix}-{topic}"


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
