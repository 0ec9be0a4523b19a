"""Handles what arrives on the lanes of a subscription: many messages of all partitions in one transaction."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from shared_runtime.envelope import Envelope, Undecodable
from shared_runtime.errors import DatabaseUnavailable, DeadLetterReason, SubscriptionPaused, text_of
from shared_runtime.lane import MAX_MESSAGE_BYTES, Lane
from shared_runtime.messages import MessageProcessor
from shared_runtime.metrics import LOOP_FAILURES
from shared_runtime.processor import BatchTooSlow
from shared_runtime.supervision import Pause, was_cancelled

log = structlog.get_logger(__name__)

MAX_BATCH_EVENTS = 1_000
FIRST_BATCH_EVENTS = 32
BATCH_TARGET_S = 0.25
"""Batches grow while they take less than half of it, and shrink when they take longer: so a slow handler does not keep
the other lanes waiting for long."""


class Worker:
    """Takes whatever has arrived, hands it to the processor as one batch, and acknowledges after the commit.

    The order of each lane is kept. A lane whose messages cannot be dealt with is tried again on its own, after pauses,
    and does not hold up the others.
    """

    def __init__(self, name: str, lanes: Sequence[Lane], arrived: asyncio.Event, processor: MessageProcessor) -> None:
        """`arrived` is set by the lanes."""
        self.name = name
        self.lanes = lanes
        self._processor = processor
        self._wake = arrived
        self._batch_events = FIRST_BATCH_EVENTS
        self._is_stopping = False
        self._outage: str | None = None
        self.finished = asyncio.Event()
        """Set when the worker has stopped and has nothing in hand that can be finished."""

    @property
    def troubles(self) -> dict[str, str]:
        """Why messages in hand cannot be dealt with, by queue, or by subscription when it is so for all of them."""
        troubles = {lane.queue: lane.trouble for lane in self.lanes if lane.trouble is not None}
        return troubles if self._outage is None else {self.name: self._outage}

    def stop(self) -> None:
        """Take no more messages; finish those in hand.

        The consumers stay for the moment: would they be cancelled first, the next process would get later messages
        while earlier ones are still with this one.
        """
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Handle batches until `stop`, then wait to be cancelled."""
        pause = Pause()
        while (lanes := self._next_lanes()) or not self._is_stopping:
            if not lanes:
                await self._wait()
            elif await self._process(lanes):
                pause.reset()
            elif self._is_stopping:
                break
            else:
                await asyncio.sleep(pause.next_s())
        self.finished.set()
        await asyncio.Event().wait()

    def _next_lanes(self) -> list[Lane]:
        """Those whose messages are to be handled now, together."""
        self._wake.clear()
        sound = [lane for lane in self.lanes if lane.trouble is None]
        if not self._is_stopping:
            late = [lane for lane in self.lanes if lane.is_due]
            if late:
                return late[:1]
            self._take([lane for lane in sound if not lane.is_busy])
        return [lane for lane in sound if lane.is_busy]

    def _take(self, lanes: Sequence[Lane]) -> None:
        """One message of each lane in turn, as long as the batch may grow. Whoever begins, all have their share."""
        waiting = list(lanes)
        events = 0
        while waiting and events < MAX_BATCH_EVENTS:
            for lane in waiting.copy():
                if lane.has_arrived:
                    events += lane.take()
                else:
                    waiting.remove(lane)

    async def _wait(self) -> None:
        until_due_s = min((lane.pause_left_s for lane in self.lanes if lane.trouble is not None), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout(until_due_s):
                await self._wake.wait()

    async def _process(self, lanes: Sequence[Lane]) -> bool:
        """Whether the database is there. What is not dealt with stays in hand, to be tried again."""
        is_there = True
        try:
            await self._process_together([lane for lane in lanes if lane.in_hand])
        except DatabaseUnavailable as error:
            is_there = False
            self._outage = str(error)
            events = sum(lane.in_hand for lane in lanes)
            log.warning("database_unavailable", subscription=self.name, error=str(error), events=events)
        except BatchTooSlow as error:
            # Fewer are taken from now on.
            log.info("batch_too_slow", subscription=self.name, error=str(error))
        # Nothing may be lost to an error of the runtime itself: the batch stays in hand, and the log says why.
        except (Exception, asyncio.CancelledError) as error:
            if was_cancelled():
                raise
            if len(lanes) == 1:
                _fail(lanes[0], error)
            else:
                return await self._process_one_by_one(lanes)
        else:
            self._outage = None
            for lane in lanes:
                lane.recover()
        for lane in lanes:
            await lane.acknowledge()
        return is_there

    async def _process_one_by_one(self, lanes: Sequence[Lane]) -> bool:
        for lane in lanes:
            if not await self._process([lane]):
                return False
        return True

    async def _process_together(self, lanes: Sequence[Lane]) -> None:
        shares = shares_of([lane.ordinary for lane in lanes], self._batch_events)
        ordinary = [(lane, lane.next(share)) for lane, share in zip(lanes, shares, strict=True)]
        events = [event for _, some in ordinary for event in some]
        if events:
            await self._process_paced(events)
            for lane, some in ordinary:
                lane.dealt_with(len(some))
        else:
            for lane in lanes:
                await self._process_alone(lane.first())
                lane.dealt_with(1)

    async def _process_paced(self, events: Sequence[Envelope]) -> None:
        clock = asyncio.get_running_loop()
        began_at_s = clock.time()
        try:
            await self._processor.process(events)
        except BatchTooSlow as error:
            self._batch_events = max(1, error.handled // 2)
            raise
        took_s = clock.time() - began_at_s
        if took_s > BATCH_TARGET_S:
            self._batch_events = max(1, int(len(events) * BATCH_TARGET_S / took_s))
        elif took_s < BATCH_TARGET_S / 2 and len(events) >= self._batch_events:
            self._batch_events = min(MAX_BATCH_EVENTS, 2 * self._batch_events)

    async def _process_alone(self, event: Envelope | Undecodable) -> None:
        if isinstance(event, Envelope):
            await self._processor.process_suspect(event)
        elif len(event.body) > MAX_MESSAGE_BYTES:
            await self._processor.process_undecodable(event, DeadLetterReason.TOO_LARGE)
        else:
            await self._processor.process_undecodable(event, DeadLetterReason.MALFORMED)


def shares_of(waiting: Sequence[int], limit: int) -> list[int]:
    """How many events each lane may give to a batch, of those that wait in it: the same for all, as far as they have so
    many."""
    shares = [0] * len(waiting)
    left = limit
    for number, place in enumerate(sorted(range(len(waiting)), key=waiting.__getitem__)):
        shares[place] = min(waiting[place], -(-left // (len(waiting) - number)))
        left -= shares[place]
    return shares


def _fail(lane: Lane, error: BaseException) -> None:
    lane.fail(text_of(error))
    # A pause has said so itself.
    if not isinstance(error, SubscriptionPaused):
        log.error("batch_failed", queue=lane.queue, events=lane.in_hand, exc_info=error)
        LOOP_FAILURES.labels(lane.queue).inc()
