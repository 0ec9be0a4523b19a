"""One partition of a subscription: a channel, and a worker that keeps the order of the broker's numbers."""

import asyncio
from collections import deque
from collections.abc import Container
from functools import partial
from itertools import takewhile

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from shared_runtime.broker import close_quietly
from shared_runtime.consumer import Subscription
from shared_runtime.envelope import ATTRIBUTES_BYTES, Envelope, Incoming, Undecodable, decode
from shared_runtime.errors import DatabaseUnavailable, DeadLetterReason, SubscriptionPaused, text_of
from shared_runtime.group_commit import PartitionProcessor
from shared_runtime.metrics import LOOP_FAILURES
from shared_runtime.supervision import Pause, was_cancelled

log = structlog.get_logger(__name__)

PREFETCH = 128
"""AMQP messages a partition may hold in memory: 8 MiB when all are full batches (outbox.MAX_BYTES_PER_MESSAGE), more
when single events are larger than a batch may be. So many because a session that gets thousands of messages, one by
one, is through the faster then, and those behind it are, too. With twice as many a service takes 20 MiB more while a
backlog drains, and RabbitMQ 60."""
MAX_BATCH_EVENTS = 500
MAX_MESSAGE_BYTES = 1024 * 1024
"""Larger messages are dead-lettered unread. Publishers of the suite stay under it."""
SUSPECT_AFTER_DELIVERIES = 3
"""A message that was delivered this often without an acknowledgement is handled alone and with a note, see
MessageProcessor.process_suspect."""

Event = tuple[AbstractIncomingMessage, Envelope | Undecodable]


class Lane:
    """Takes whatever has arrived, hands it to the processor as one batch, and acknowledges after the commit."""

    def __init__(self, subscription: Subscription, partition: int, processor: PartitionProcessor) -> None:
        self.queue = subscription.queue(partition)
        self._processor = processor
        self._arrived: dict[int, AbstractIncomingMessage] = {}
        self._next_tag = 1
        self._wake = asyncio.Event()
        self._consumers: Container[str] = ()
        self._channel: AbstractChannel | None = None
        self._consumer_tag = ""
        self._is_stopping = False
        self._is_processing = False
        # What is in hand is kept here and not in `run`: were it lost when `run` starts again, the next batch's
        # acknowledgement would acknowledge it, too.
        self._in_hand: deque[Event] = deque()
        self._last: AbstractIncomingMessage | None = None
        self.trouble: str | None = None
        """Why the batch in hand could not be dealt with."""
        self.finished = asyncio.Event()
        """Set when the lane has stopped and has nothing in hand that can be finished."""

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

    @property
    def is_coming(self) -> bool:
        """Whether the next batch is there and about to be handled."""
        is_free = not self._is_processing and self.trouble is None and not self._is_stopping
        return is_free and self._next_tag in self._arrived

    @property
    def waiting_bytes(self) -> int:
        """About how much has arrived that nobody has taken in hand, attributes included."""
        return sum(ATTRIBUTES_BYTES + len(message.body) for message in self._arrived.values())

    @property
    def has_work_in_hand(self) -> bool:
        """Whether it has taken messages that it has not acknowledged."""
        return self._last is not None

    async def close_channel(self) -> None:
        """Give the channel up. Messages that are not acknowledged go back to the queue, in their order."""
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            await close_quietly(channel)

    def stop(self) -> None:
        """Take no more messages; finish the batch in hand.

        The consumer stays for the moment: would it be cancelled first, the next process would get later messages while
        earlier ones are still with this one.
        """
        self._is_stopping = True
        self._wake.set()

    async def _arrive(self, arrived: dict[int, AbstractIncomingMessage], message: AbstractIncomingMessage) -> None:
        arrived[message.delivery_tag or 0] = message
        self._wake.set()

    async def run(self) -> None:
        """Handle batches until `stop`, then wait to be cancelled."""
        pause = Pause()
        while not self._is_stopping:
            self._wake.clear()
            if self._last is None and self._next_tag in self._arrived:
                await self._processor.turn()
                if self._is_stopping:
                    break
                self._take()
            if self._last is None:
                await self._wake.wait()
            elif await self._process():
                await self._acknowledge(self._last)
                self._last = None
                pause.reset()
            else:
                await asyncio.sleep(pause.next_s())
        self.finished.set()
        await asyncio.Event().wait()

    def _take(self) -> None:
        """Take in hand whatever has arrived, in the order in which the broker numbered it."""
        while len(self._in_hand) < MAX_BATCH_EVENTS and self._next_tag in self._arrived:
            message = self._last = self._arrived.pop(self._next_tag)
            self._next_tag += 1
            self._in_hand.extend((message, event) for event in _read(message))

    async def _process(self) -> bool:
        """Whether everything is dealt with. What is not stays in hand, to be tried again."""
        self._is_processing = True
        try:
            while self._in_hand:
                together = list(takewhile(_is_ordinary, self._in_hand))
                if together:
                    await self._processor.process([event for _, event in together if isinstance(event, Envelope)])
                else:
                    await self._process_alone(*self._in_hand[0])
                for _ in range(len(together) or 1):
                    self._in_hand.popleft()
        except DatabaseUnavailable as error:
            self.trouble = str(error)
            log.warning("database_unavailable", queue=self.queue, error=str(error), events=len(self._in_hand))
        except SubscriptionPaused as error:
            # It has said so itself.
            self.trouble = str(error)
        # Nothing may be lost to an error of the runtime itself: the batch stays in hand, and the log says why.
        except (Exception, asyncio.CancelledError) as error:
            if was_cancelled():
                raise
            self.trouble = text_of(error)
            log.exception("batch_failed", queue=self.queue, events=len(self._in_hand))
            LOOP_FAILURES.labels(self.queue).inc()
        else:
            self.trouble = None
        finally:
            self._is_processing = False
        return not self._in_hand

    async def _process_alone(self, message: AbstractIncomingMessage, event: Envelope | Undecodable) -> None:
        if isinstance(event, Envelope):
            await self._processor.process_suspect(event)
        elif len(message.body) > MAX_MESSAGE_BYTES:
            await self._processor.process_undecodable(event, DeadLetterReason.TOO_LARGE)
        else:
            await self._processor.process_undecodable(event, DeadLetterReason.MALFORMED)

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
