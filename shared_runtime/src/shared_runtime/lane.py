"""One partition of a subscription: a channel, and what has arrived on it in the order of the broker's numbers."""

import asyncio
from collections import deque
from collections.abc import Container
from functools import partial
from itertools import islice, takewhile

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from shared_runtime.broker import close_quietly
from shared_runtime.consumer import Subscription
from shared_runtime.envelope import Envelope, Incoming, Undecodable, decode
from shared_runtime.errors import text_of
from shared_runtime.supervision import Pause, was_cancelled

log = structlog.get_logger(__name__)

PREFETCH = 32
"""AMQP messages a partition may hold in memory; each can carry up to 500 events."""
MAX_MESSAGE_BYTES = 1024 * 1024
"""Larger messages are dead-lettered unread. Publishers of the suite stay under it."""
SUSPECT_AFTER_DELIVERIES = 3
"""A message that was delivered this often without an acknowledgement is handled alone and with a note, see
MessageProcessor.process_suspect."""

Event = tuple[AbstractIncomingMessage, Envelope | Undecodable]


class Lane:
    """What one partition has delivered, until it is dealt with and acknowledged."""

    def __init__(self, subscription: Subscription, partition: int, arrived: asyncio.Event) -> None:
        """`arrived` is set when a message has come."""
        self.queue = subscription.queue(partition)
        self._arrived: dict[int, AbstractIncomingMessage] = {}
        self._next_tag = 1
        self._wake = arrived
        self._consumers: Container[str] = ()
        self._channel: AbstractChannel | None = None
        self._consumer_tag = ""
        # What is in hand is kept here and not by whoever handles it: were it lost when that starts again, the next
        # batch's acknowledgement would acknowledge it, too.
        self._in_hand: deque[Event] = deque()
        self._last: AbstractIncomingMessage | None = None
        self.trouble: str | None = None
        """Why what is in hand could not be dealt with."""
        self._pause = Pause()
        self._retry_at_s = 0.0

    async def attach(self, connection: AbstractConnection) -> None:
        """Begin to consume. What an earlier channel had delivered and nobody acknowledged is delivered again.

        Raises what aio-pika raises, ChannelNotFoundEntity above all, when there is no such queue.
        """
        await self.close_channel()
        channel = self._channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        underlay = await channel.get_underlay_channel()
        self._consumers = underlay.consumers  # type: ignore[attr-defined]
        queue = await channel.get_queue(self.queue, ensure=False)
        self._arrived = {}
        self._next_tag = 1
        self._consumer_tag = await queue.consume(partial(self._arrive, self._arrived))

    @property
    def is_attached(self) -> bool:
        """Whether the broker still has the consumer: it ends consumers whose queue is deleted."""
        return self._channel is not None and not self._channel.is_closed and self._consumer_tag in self._consumers

    async def close_channel(self) -> None:
        """Give the channel up. Messages that are not acknowledged go back to the queue, in their order."""
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            await close_quietly(channel)

    async def _arrive(self, arrived: dict[int, AbstractIncomingMessage], message: AbstractIncomingMessage) -> None:
        arrived[message.delivery_tag or 0] = message
        self._wake.set()

    @property
    def has_arrived(self) -> bool:
        """Whether the next message is there."""
        return self._next_tag in self._arrived

    @property
    def is_busy(self) -> bool:
        """Whether messages are in hand that are not acknowledged."""
        return self._last is not None

    @property
    def in_hand(self) -> int:
        """How many events are not dealt with."""
        return len(self._in_hand)

    @property
    def pause_left_s(self) -> float:
        """How long to wait before what failed is tried again."""
        return max(0.0, self._retry_at_s - asyncio.get_running_loop().time())

    @property
    def is_due(self) -> bool:
        """Whether what failed is to be tried again now."""
        return self.trouble is not None and not self.pause_left_s

    def fail(self, why: str) -> None:
        """What is in hand could not be dealt with, and is to be tried again after a pause."""
        self.trouble = why
        self._retry_at_s = asyncio.get_running_loop().time() + self._pause.next_s()

    def recover(self) -> None:
        """What was in hand is dealt with."""
        self.trouble = None
        self._pause.reset()

    def take(self) -> int:
        """Take in hand the next message, in the order in which the broker numbered them. Returns how many events."""
        message = self._last = self._arrived.pop(self._next_tag)
        self._next_tag += 1
        events = _read(message)
        self._in_hand.extend((message, event) for event in events)
        return len(events)

    @property
    def ordinary(self) -> int:
        """How many events come before the first that is to be handled alone."""
        return sum(1 for _ in takewhile(_is_ordinary, self._in_hand))

    def next(self, number: int) -> list[Envelope]:
        """The next events, at most so many."""
        return [event for _, event in islice(self._in_hand, number) if isinstance(event, Envelope)]

    def first(self) -> Envelope | Undecodable:
        """The next event."""
        return self._in_hand[0][1]

    def dealt_with(self, number: int) -> None:
        """So many events of those in hand are handled, held or dead-lettered, and that is committed."""
        for _ in range(number):
            self._in_hand.popleft()

    async def acknowledge(self) -> None:
        """Tell the broker that what was in hand is dealt with, once all of it is."""
        if self._last is not None and not self._in_hand:
            await self._acknowledge(self._last)
            self._last = None

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        # A batch is of one channel. When that is gone, its messages are delivered again, and the inbox knows them.
        try:
            await message.ack(multiple=True)
        except CONNECTION_EXCEPTIONS as error:
            log.info("not_acknowledged", queue=self.queue, error=text_of(error))
        except asyncio.CancelledError:
            if was_cancelled():
                raise


def _read(message: AbstractIncomingMessage) -> list[Envelope | Undecodable]:
    content_type = message.content_type or ""
    if len(message.body) > MAX_MESSAGE_BYTES:
        error = f"{len(message.body)} bytes, at most {MAX_MESSAGE_BYTES} are accepted"
        return [Undecodable(message.body, content_type, message.headers, error, str(message.message_id or ""))]
    return decode(Incoming(message.body, content_type, message.headers, str(message.message_id or "")))


def _is_ordinary(event: Event) -> bool:
    message, read = event
    return isinstance(read, Envelope) and _deliveries(message) < SUSPECT_AFTER_DELIVERIES


def _deliveries(message: AbstractIncomingMessage) -> int:
    """How often the broker has delivered the message before.

    Until RabbitMQ 4.2 `x-delivery-count` counts every return to the queue. From 4.3 it counts only what looks like a
    failure, and `x-acquired-count` counts all.
    """
    counts = (message.headers.get("x-delivery-count"), message.headers.get("x-acquired-count"))
    return max((count for count in counts if isinstance(count, int)), default=0)
