"""Kafka as a carrier: one topic per kind of record, a writer's events in one partition.

Reading keeps its offsets itself and belongs to no consumer group, as every reader wants everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from casemate.errors import MissingExtra, StoreError
from casemate.store.streams.carrier import pause

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine

_TIMEOUT_MS = 5_000
_IDLE_MS = 500
_LONGEST = 15.0
_PARTITIONS = {"events": 8, "orders": 1}
_DAY_MS = 86_400_000
_KEPT_MS = {"events": 7 * _DAY_MS, "orders": 90 * _DAY_MS}


class Kafka:
    """A cluster, reached through any of its brokers."""

    def __init__(
        self,
        servers: list[str],
        prefix: str,
        *,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the brokers' addresses; nothing is opened yet.

        Raises:
            MissingExtra: aiokafka is not installed.
        """
        try:
            import aiokafka
        except ImportError as error:
            raise MissingExtra("streams", for_="carrying events over Kafka") from error
        # Its log repeats every second what `trouble` says once.
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())
        self._aiokafka = aiokafka
        self._prefix = prefix
        self._producer: Any = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._declared: set[str] = set()
        self._settings: dict[str, Any] = {
            "bootstrap_servers": servers,
            "client_id": "casemate",
            "request_timeout_ms": _TIMEOUT_MS,
            "security_protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
            "ssl_context": tls,
        }
        if user:
            self._settings |= {
                "sasl_mechanism": "SCRAM-SHA-512" if tls is None else "PLAIN",
                "sasl_plain_username": user,
                "sasl_plain_password": password or "",
            }

    async def put(self, topic: str, key: str, ident: str, data: bytes) -> None:
        """Store a message on all replicas in sync; a repeated one is for the reader to drop."""
        from aiokafka.errors import KafkaError, MessageSizeTooLargeError

        try:
            # The client tries for itself for ever; the limit is there to say that it does.
            async with asyncio.timeout(_LONGEST):
                producer = await self._made(topic)
                await producer.send_and_wait(
                    self._name(topic), data, key=key.encode(), headers=[("ident", ident.encode())]
                )
        except MessageSizeTooLargeError as error:
            raise StoreError(f"Kafka takes no message of {len(data):,} bytes") from error
        except (KafkaError, OSError, TimeoutError) as error:
            await self._drop()
            raise ConnectionError(f"Kafka: {_words(error)}") from error

    async def read(
        self, topic: str, since: int | None, trouble: Callable[[str], None]
    ) -> AsyncIterator[bytes]:
        """Yield messages of all partitions, each partition's in order."""
        from aiokafka.errors import KafkaError

        places: dict[Any, int] = {}
        tries = 0
        while True:
            consumer = self._aiokafka.AIOKafkaConsumer(
                self._name(topic),
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                **self._settings,
            )
            try:
                await self._declare(topic)
                await consumer.start()
                await self._seek(consumer, since, places)
                trouble("")
                tries = 0
                while True:
                    found = await consumer.getmany(timeout_ms=_IDLE_MS)
                    for partition, messages in found.items():
                        for message in messages:
                            if since is None or message.timestamp * 1000 >= since - 999:
                                yield message.value or b""
                            places[partition] = message.offset + 1
            except (KafkaError, OSError, TimeoutError) as error:
                trouble(f"Kafka: {_words(error)}")
                await asyncio.sleep(pause(tries))
                tries += 1
            finally:
                await _let_go(consumer.stop())

    async def close(self) -> None:
        """Let go of the connection."""
        await self._drop()

    async def _made(self, topic: str) -> Any:
        async with self._lock:
            if self._producer is None:
                await self._declare(topic)
                producer = self._aiokafka.AIOKafkaProducer(
                    acks="all",
                    enable_idempotence=True,
                    compression_type="gzip",
                    **self._settings,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer

    async def _drop(self) -> None:
        async with self._lock:
            producer, self._producer = self._producer, None
            if producer is not None:
                # Stopped halfway it would leave its sender and connections behind.
                stopping = asyncio.create_task(_let_go(producer.stop()))
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)
                await asyncio.wait([stopping], timeout=2.0)

    async def _declare(self, topic: str) -> None:
        """Make the topic where that is allowed; many clusters make them in other ways."""
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic
        from aiokafka.errors import KafkaError

        if topic in self._declared:
            return
        admin = AIOKafkaAdminClient(**self._settings)
        try:
            await admin.start()
        except BaseException:
            await _let_go(admin.close())
            raise
        try:
            made = NewTopic(
                self._name(topic),
                num_partitions=_PARTITIONS[topic],
                replication_factor=-1,
                topic_configs={"retention.ms": str(_KEPT_MS[topic])},
            )
            await admin.create_topics([made])
        except KafkaError:
            pass  # not allowed, or not known here: if it is needed, storing will say so
        finally:
            await _let_go(admin.close())
        self._declared.add(topic)

    async def _seek(self, consumer: Any, since: int | None, places: dict[Any, int]) -> None:
        """Go to where reading was, or to `since`; partitions that come later are read whole."""
        while not consumer.assignment():
            await asyncio.sleep(_IDLE_MS / 1000)
        partitions = consumer.assignment()
        starts: dict[Any, Any] = {}
        if since is not None:
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since // 1000))
        for partition in partitions:
            start = starts.get(partition)
            if partition in places:
                consumer.seek(partition, places[partition])
            elif start is not None:
                consumer.seek(partition, start.offset)
            else:
                await consumer.seek_to_beginning(partition)

    def _name(self, topic: str) -> str:
        return f"{self._prefix}.{topic}"


async def _let_go(ending: Coroutine[Any, Any, None]) -> None:
    from aiokafka.errors import KafkaError

    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await ending


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
