"""Takes messages from the partition queues: one channel and one worker per partition, so that order holds within it.

A worker takes whatever has arrived, hands it to the processor as one batch, and acknowledges after the commit. The
broker's "single active consumer" gives each partition to one process at a time.
"""

import asyncio
from collections.abc import Container, Sequence
from contextlib import suppress
from functools import partial

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from shared_runtime.broker import connect
from shared_runtime.consumer import Subscription
from shared_runtime.envelope import Envelope, Incoming, Undecodable, decode
from shared_runtime.errors import DatabaseUnavailable, DeadLetterReason
from shared_runtime.messages import MessageProcessor
from shared_runtime.metrics import LOOP_FAILURES
from shared_runtime.processor import Processor
from shared_runtime.supervision import Pause

log = structlog.get_logger(__name__)

PREFETCH = 32
"""AMQP messages a partition may hold in memory; each can carry up to 500 events."""
MAX_BATCH_EVENTS = 1_000
MAX_MESSAGE_BYTES = 1024 * 1024
"""Larger messages are dead-lettered unread. Publishers of the suite stay under half of it."""
SUSPECT_AFTER_DELIVERIES = 3
"""A message that was delivered this often without an acknowledgement is handled alone and with a note, see
MessageProcessor.process_suspect."""
WATCH_INTERVAL_S = 1.0

Batch = list[tuple[AbstractIncomingMessage, list[Envelope | Undecodable]]]
"""AMQP messages, and the events that were read from each."""


class Lane:
    """One partition of one subscription."""

    def __init__(self, subscription: Subscription, partition: int, processor: MessageProcessor) -> None:
        self.queue = subscription.queue(partition)
        self._processor = processor
        self._arrived: dict[int, AbstractIncomingMessage] = {}
        self._next_tag = 1
        self._wake = asyncio.Event()
        self._consumers: Container[str] = ()
        self._channel: AbstractChannel | None = None
        self._consumer_tag = ""
        self._stopping = False
        self.finished = asyncio.Event()
        """Set when the lane has stopped and has nothing in hand."""

    async def attach(self, connection: AbstractConnection) -> None:
        """Begin to consume. What an earlier connection had delivered and nobody took is delivered again."""
        self._channel = await connection.channel(publisher_confirms=False)
        await self._channel.set_qos(prefetch_count=PREFETCH)
        underlay = await self._channel.get_underlay_channel()
        self._consumers = underlay.consumers  # type: ignore[attr-defined]
        queue = await self._channel.get_queue(self.queue, ensure=False)
        self._arrived = {}
        self._next_tag = 1
        self._consumer_tag = await queue.consume(partial(self._arrive, self._arrived))

    @property
    def is_attached(self) -> bool:
        """Whether the broker still has the consumer: it ends consumers whose queue is deleted."""
        return self._channel is not None and not self._channel.is_closed and self._consumer_tag in self._consumers

    async def detach(self) -> None:
        """Take no more messages. Those that nobody took go back to the queue when the channel closes."""
        self._stopping = True
        self._wake.set()
        if self._channel is not None and self.is_attached:
            queue = await self._channel.get_queue(self.queue, ensure=False)
            await queue.cancel(self._consumer_tag)

    async def _arrive(self, arrived: dict[int, AbstractIncomingMessage], message: AbstractIncomingMessage) -> None:
        arrived[message.delivery_tag or 0] = message
        self._wake.set()

    async def run(self) -> None:
        """Handle batches until `detach`, then wait to be cancelled."""
        pause = Pause()
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while not self._stopping and (batch := self._take()):
                while not await self._process(batch):
                    if self._stopping:
                        break
                    await asyncio.sleep(pause.next_s())
                else:
                    pause.reset()
                    await self._acknowledge([message for message, _ in batch])
        self.finished.set()
        await asyncio.Event().wait()

    def _take(self) -> Batch:
        """Whatever has arrived, in the order in which the broker numbered it."""
        batch: Batch = []
        events = 0
        while events < MAX_BATCH_EVENTS and (message := self._arrived.pop(self._next_tag, None)) is not None:
            self._next_tag += 1
            batch.append((message, _read(message)))
            events += len(batch[-1][1])
        return batch

    async def _process(self, batch: Batch) -> bool:
        """Whether everything is dealt with. False when it is to be tried again: the database is out of reach."""
        try:
            envelopes: list[Envelope] = []
            for message, events in batch:
                is_suspect = _delivery_count(message) >= SUSPECT_AFTER_DELIVERIES
                for event in events:
                    if isinstance(event, Envelope) and not is_suspect:
                        envelopes.append(event)
                        continue
                    # What came before it is handled before it.
                    await self._process_together(envelopes)
                    envelopes = []
                    await self._process_alone(event, message)
            await self._process_together(envelopes)
        except DatabaseUnavailable as error:
            log.warning("database_unavailable", queue=self.queue, error=str(error), messages=len(batch))
            return False
        except Exception:
            # Nothing may be lost to an error of the runtime itself: the batch stays in hand, and the log says why.
            log.exception("batch_failed", queue=self.queue, messages=len(batch))
            LOOP_FAILURES.labels(self.queue).inc()
            return False
        return True

    async def _process_together(self, envelopes: list[Envelope]) -> None:
        if envelopes:
            await self._processor.process(envelopes)

    async def _process_alone(self, event: Envelope | Undecodable, message: AbstractIncomingMessage) -> None:
        if isinstance(event, Envelope):
            await self._processor.process_suspect(event)
        elif len(message.body) > MAX_MESSAGE_BYTES:
            await self._processor.process_undecodable(event, DeadLetterReason.TOO_LARGE)
        else:
            await self._processor.process_undecodable(event, DeadLetterReason.MALFORMED)

    async def _acknowledge(self, messages: Sequence[AbstractIncomingMessage]) -> None:
        # A batch is of one channel. When that is gone, its messages are delivered again, and the inbox knows them.
        with suppress(AMQPError, OSError):
            await messages[-1].ack(multiple=True)


def _read(message: AbstractIncomingMessage) -> list[Envelope | Undecodable]:
    content_type = message.content_type or ""
    if len(message.body) > MAX_MESSAGE_BYTES:
        error = f"{len(message.body)} bytes, at most {MAX_MESSAGE_BYTES} are accepted"
        return [Undecodable(message.body, content_type, message.headers, error)]
    return decode(Incoming(message.body, content_type, message.headers))


def _delivery_count(message: AbstractIncomingMessage) -> int:
    count = message.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0


class Subscriber:
    """All lanes of a service, on one connection that is opened again when it breaks."""

    def __init__(self, processor: Processor, broker_url: str) -> None:
        self._broker_url = broker_url
        self._name = f"{processor.consumer.service} consumer"
        self._connection: AbstractConnection | None = None
        self._stopping = False
        self.lanes: list[Lane] = []
        for subscription in processor.consumer.subscriptions:
            messages = MessageProcessor(processor, subscription)
            self.lanes += [Lane(subscription, partition, messages) for partition in range(subscription.partitions)]

    @property
    def missing_consumers(self) -> list[str]:
        """The queues that this process does not consume from at the moment."""
        return [lane.queue for lane in self.lanes if not lane.is_attached]

    async def run(self) -> None:
        """Connect, consume, and watch that every lane keeps its consumer. Returns when one was lost."""
        connection = self._connection = await connect(self._broker_url, self._name)
        try:
            for lane in self.lanes:
                await lane.attach(connection)
            log.info("consuming", queues=len(self.lanes))
            while not connection.is_closed and (self._stopping or not self.missing_consumers):
                await asyncio.sleep(WATCH_INTERVAL_S)
            log.warning("consumers_lost", queues=self.missing_consumers[:8])
        finally:
            await self._close()

    async def finish(self, timeout_s: float) -> None:
        """Take no more messages, and wait until those in hand are dealt with and acknowledged, or the time is up."""
        self._stopping = True
        try:
            async with asyncio.timeout(timeout_s):
                for lane in self.lanes:
                    with suppress(AMQPError, OSError):  # a broken connection has no consumers to cancel
                        await lane.detach()
                await asyncio.gather(*(lane.finished.wait() for lane in self.lanes))
        except TimeoutError:
            log.warning("stopped_with_work_in_hand", queues=[lane.queue for lane in self.lanes])

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed:
            with suppress(Exception):  # it may be broken already, and there is nothing left to do with it
                async with asyncio.timeout(5):
                    await connection.close()
