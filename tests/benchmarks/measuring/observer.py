"""Watches what the suite, or the floor, publishes, from a queue of its own."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from aio_pika.abc import AbstractIncomingMessage

from shared_contracts.message import Message
from shared_runtime.broker import connect
from shared_runtime.envelope import Envelope, Incoming, decode

_LOOK_AGAIN_S = 0.05
_READ_AT_ONCE = 20
"""Messages, of up to a hundred events each, that are read before those that have come meanwhile get their moments."""


class LostWork(Exception):
    """Requests that were accepted did not come to their end in the time that was given."""


class Observer:
    """Notes the moment at which the first message of a type arrived for each session, and how many different ones did.

    What arrives is put aside with the moment and read later, so that reading one does not delay the next.
    """

    def __init__(self, message_type: str) -> None:
        self._message_type = message_type
        self._unread: deque[tuple[int, Incoming]] = deque()
        self._arrived_ns: dict[str, int] = {}
        self._events: dict[str, set[UUID]] = {}

    @classmethod
    @asynccontextmanager
    async def watching(cls, broker_url: str, message: type[Message]) -> AsyncIterator["Observer"]:
        """Watch the messages of this type inside the block. The queue is gone with it."""
        observer = cls(message.message_type)
        connection = await connect(broker_url, "benchmark observer")
        try:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=0)
            queue = await channel.declare_queue(exclusive=True, auto_delete=True)
            # With a partition behind the type, as the suite publishes, and without one, as the floor does.
            await queue.bind(str(message.topic), f"{message.message_type}.#")
            await queue.consume(observer.take, no_ack=True)
            yield observer
        finally:
            await connection.close()

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Note that a message, or a batch of them, has come now."""
        now_ns = time.monotonic_ns()
        self._unread.append((now_ns, Incoming(message.body, message.content_type or "", message.headers)))

    async def read(self) -> Mapping[str, int]:
        """By session, the moment (time.monotonic_ns) of its first message."""
        while self._unread:
            for _ in range(min(_READ_AT_ONCE, len(self._unread))):
                now_ns, incoming = self._unread.popleft()
                for event in decode(incoming):
                    if isinstance(event, Envelope) and event.type == self._message_type:
                        self._arrived_ns.setdefault(event.session_id, now_ns)
                        self._events.setdefault(event.session_id, set()).add(event.id)
            await asyncio.sleep(0)
        return self._arrived_ns

    def events_of(self, session: str) -> int:
        """How many different events of the session were read: one that is published again has the same id."""
        return len(self._events.get(session, ()))

    async def wait_for(self, sessions: Collection[str], timeout_s: float) -> Mapping[str, int]:
        """The moments, once there is one for each of these sessions. Raises LostWork with how many are missing."""
        deadline = time.monotonic() + timeout_s
        arrived_ns = await self.read()
        while missing := sum(session not in arrived_ns for session in sessions):
            if time.monotonic() > deadline:
                raise LostWork(f"{missing} of {len(sessions)} sessions had no {self._message_type} in {timeout_s} s")
            await asyncio.sleep(_LOOK_AGAIN_S)
            arrived_ns = await self.read()
        return arrived_ns
