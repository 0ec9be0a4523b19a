"""All lanes of a service, on one connection that is opened again when it breaks.

The broker's "single active consumer" gives each partition to one process at a time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from shared_runtime.broker import close_quietly, connect, is_open
from shared_runtime.errors import text_of
from shared_runtime.group_commit import GroupCommit, PartitionProcessor
from shared_runtime.lane import Lane
from shared_runtime.messages import MessageProcessor, SubscriptionSource
from shared_runtime.processor import Processor
from shared_runtime.supervision import was_cancelled

log = structlog.get_logger(__name__)

ATTACH_TIMEOUT_S = 10.0
WATCH_INTERVAL_S = 1.0


class Subscriber:
    """Watches that every lane has its consumer."""

    def __init__(self, processor: Processor, sources: Sequence[SubscriptionSource], broker_url: str) -> None:
        self._broker_url = broker_url
        self._name = f"{processor.consumer.service} consumer"
        self._connection: AbstractConnection | None = None
        self._is_stopping = False
        self._missing: dict[str, str] = {}
        self.lanes: list[Lane] = []
        self.groups: dict[str, GroupCommit] = {}
        """By the subscription's name."""
        for source in sources:
            group = self.groups[source.name] = GroupCommit(MessageProcessor(processor, source))
            partitions = range(source.subscription.partitions)
            lanes = [Lane(source.subscription, partition, PartitionProcessor(group)) for partition in partitions]
            group.partitions += lanes
            self.lanes += lanes

    @property
    def missing_consumers(self) -> list[str]:
        """The queues that this process does not consume from at the moment."""
        return [lane.queue for lane in self.lanes if not lane.is_attached]

    @property
    def troubles(self) -> dict[str, str]:
        """Why lanes cannot deal with what they have in hand, by queue."""
        return {lane.queue: lane.trouble for lane in self.lanes if lane.trouble is not None}

    async def run(self) -> None:
        """Connect and consume. Returns when the connection is lost.

        A lane that has lost its queue does not disturb the others: it is attached again when the queue is back.
        """
        connection = self._connection = await connect(self._broker_url, self._name)
        try:
            while is_open(connection):
                missing = [] if self._is_stopping else [lane for lane in self.lanes if not lane.is_attached]
                await asyncio.gather(*(self._attach(lane, connection) for lane in missing))
                await asyncio.sleep(WATCH_INTERVAL_S)
        finally:
            await self._close()

    async def _attach(self, lane: Lane, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(ATTACH_TIMEOUT_S):
                await lane.attach(connection)
        except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError) as error:
            if was_cancelled():
                raise
            await lane.close_channel()
            if self._missing.get(lane.queue) != text_of(error):
                log.warning("not_consuming", queue=lane.queue, error=text_of(error))
            self._missing[lane.queue] = text_of(error)
        else:
            self._missing.pop(lane.queue, None)
            log.info("consuming", queue=lane.queue)

    async def finish(self, timeout_s: float) -> None:
        """Take no more messages, and wait until those in hand are dealt with and acknowledged, or the time is up.

        Messages that nobody took go back to their queues.
        """
        self._is_stopping = True
        for lane in self.lanes:
            lane.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(lane.finished.wait() for lane in self.lanes))
        in_hand = [lane.queue for lane in self.lanes if lane.has_work_in_hand and not lane.finished.is_set()]
        if in_hand:
            log.warning("stopped_with_work_in_hand", queues=in_hand)
        await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)
