"""Puts what the partitions of a subscription have at the same time into one transaction, if that harms nobody."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

import structlog

from shared_runtime.envelope import ATTRIBUTES_BYTES, Envelope, Undecodable
from shared_runtime.errors import DatabaseUnavailable, DeadLetterReason, StatementTimedOut, text_of
from shared_runtime.messages import MessageProcessor
from shared_runtime.rest import rest

log = structlog.get_logger(__name__)

PATIENCE_S = 0.25
PATIENCE_PER_EVENT_S = 0.001
"""How long the handlers of a common transaction may take together: so much, and so much for each event. Whoever is
slower has transactions of its own. A handler that waits for nothing takes 0.05 ms, on busy processors up to 0.4 ms."""
APART_S = 10.0
"""How long a partition that is slow, or cannot go on, stays on its own before it is tried with the others again."""
GATHER_S = 0.01
"""How long a transaction waits at most for partitions that are about to hand something over."""
ENOUGH_BYTES = 64 * 1024
"""So much, about a hundred events, is worth a transaction at once."""
TYPICAL_EVENT_BYTES = ATTRIBUTES_BYTES + 200


class Partition(Protocol):
    """Who hands over."""

    @property
    def is_coming(self) -> bool:
        """Whether it has something to hand over, and will do so in a moment."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """About how much has arrived that it has not taken, attributes included."""
        ...


class Share:
    """What one partition hands over."""

    __slots__ = ("outcome", "received")

    def __init__(self, received: Sequence[Envelope]) -> None:
        self.received = received
        self.outcome: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        """See GroupCommit.commit."""


class GroupCommit:
    """The common transactions of a subscription. After each of them it rests, so that more arrives for the next one."""

    def __init__(self, messages: MessageProcessor) -> None:
        self.messages = messages
        self.partitions: list[Partition] = []
        self._waiting: list[Share] = []
        self._came = asyncio.Event()
        self.is_open = asyncio.Event()
        """Set while partitions are to take what has arrived: not during a transaction and the rest after it."""

    async def commit(self, received: Sequence[Envelope]) -> float | None:
        """Hand a share over, and wait until it is committed. Returns how many seconds its handlers took.

        Returns None when something was in the way of the transaction: each of its shares is on its own now. Raises
        DatabaseUnavailable.
        """
        share = Share(received)
        self._waiting.append(share)
        self._came.set()
        return await share.outcome

    async def run(self) -> None:
        """One transaction after the other, for ever."""
        clock = asyncio.get_running_loop()
        while True:
            self.is_open.set()
            await self._came.wait()
            await self._gather()
            # Who handed one over may have been cancelled.
            shares = [share for share in self._waiting if not share.outcome.done()]
            self._waiting.clear()
            if not shares:
                continue
            self.is_open.clear()
            began_at_s = clock.time()
            try:
                await self._commit(shares)
            finally:
                for share in shares:
                    share.outcome.cancel()
            await rest(clock.time() - began_at_s, self.has_enough)

    async def _gather(self) -> None:
        # Those of the transaction before acknowledge it, and then take what has arrived meanwhile.
        self._came.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                while any(partition.is_coming for partition in self.partitions):
                    await self._came.wait()
                    self._came.clear()

    def has_enough(self) -> bool:
        """Whether enough is there for the next transaction. Of partitions that cannot go on nothing counts."""
        handed_over = sum(len(share.received) for share in self._waiting) * TYPICAL_EVENT_BYTES
        arrived = sum(partition.waiting_bytes for partition in self.partitions if partition.is_coming)
        return handed_over + arrived >= ENOUGH_BYTES

    async def _commit(self, shares: Sequence[Share]) -> None:
        """Run the transaction, and tell each share what came of it.

        A statement without an answer may be one share's slow loader, or the database may be out of reach. Each share is
        tried on its own then, also an only one, so that its partition stays apart. If it is the database, that is one
        attempt of each partition at the same time, which the limits on connecting and on a statement end after ten
        seconds each; from then on every partition tries again after its growing pauses, as it does in any outage.
        """
        took_s: Sequence[float | None] = [None] * len(shares)
        try:
            received = [envelope for share in shares for envelope in share.received]
            each_s = iter(await self.messages.process_at_once(received, patience_s=_patience_s(len(received))))
            took_s = [sum(islice(each_s, len(share.received))) for share in shares]
        except Exception as error:
            if isinstance(error, DatabaseUnavailable) and not isinstance(error, StatementTimedOut):
                for share in shares:
                    if not share.outcome.done():
                        share.outcome.set_exception(error)
            else:
                # Each share is tried on its own, which tells who is to blame.
                log.info("transaction_divided", shares=len(shares), error=text_of(error))
        for share, share_took_s in zip(shares, took_s, strict=True):
            if not share.outcome.done():
                share.outcome.set_result(share_took_s)


class PartitionProcessor:
    """Handles the events of one partition completely: together with the others, or on its own."""

    def __init__(self, group: GroupCommit) -> None:
        self._group = group
        self._messages = group.messages
        self._apart_until_s = 0.0

    async def turn(self) -> None:
        """Wait until it is time to take what has arrived."""
        if not self._is_apart:
            await self._group.is_open.wait()

    @property
    def _is_apart(self) -> bool:
        return asyncio.get_running_loop().time() < self._apart_until_s

    async def process(self, received: Sequence[Envelope]) -> None:
        """See MessageProcessor.process."""
        if not self._is_apart:
            common_took_s = await self._group.commit(received)
            if common_took_s is not None:
                self._stay_apart_if(common_took_s > _patience_s(len(received)))
                return
        took_s = math.inf
        try:
            took_s = await self._messages.process(received)
        finally:
            # When all are too slow together, at least one is by its part of what they may take.
            self._stay_apart_if(took_s > _patience_s(len(received), partitions=len(self._group.partitions)))

    def _stay_apart_if(self, is_slow: bool) -> None:
        # How long the handlers took tells that, and not the whole transaction: on busy processors any takes long.
        if is_slow:
            self._apart_until_s = asyncio.get_running_loop().time() + APART_S

    async def process_suspect(self, envelope: Envelope) -> None:
        """See MessageProcessor.process_suspect."""
        await self._messages.process_suspect(envelope)

    async def process_undecodable(self, undecodable: Undecodable, reason: DeadLetterReason) -> None:
        """See MessageProcessor.process_undecodable."""
        await self._messages.process_undecodable(undecodable, reason)


def _patience_s(events: int, *, partitions: int = 1) -> float:
    return PATIENCE_S / max(1, partitions) + events * PATIENCE_PER_EVENT_S
