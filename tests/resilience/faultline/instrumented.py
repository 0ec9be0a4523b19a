"""Runs a service as `shared_runtime.serve` does: handlers watched, the clock adjustable, points to die at.

`python -m faultline.instrumented PACKAGE`. The runtime's functions are wrapped from outside, in this process only:
there is nothing in the runtime that a production process could switch on.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zlib import crc32

from asyncpg.transaction import Transaction

from faultline.control import KILLS_PREFIX, RAISES_PREFIX, ControlFolder, FailPoint
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryFailed
from shared_runtime import outbox, serve
from shared_runtime.backlog import Fate, Outcome
from shared_runtime.envelope import utc_now
from shared_runtime.held_retries import HeldSource
from shared_runtime.lane import Lane
from shared_runtime.messages import SubscriptionSource
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Ending, Job, Processor, Source
from shared_runtime.publisher import Publisher
from shared_runtime.relay import Relay
from shared_runtime.writes import Write

SKEW_POLL_S = 0.1
COMPENSATED = (DeliveryCancelled, DeliveryFailed)
COMPENSATING = {"package-service", "drone-scheduler"}


class WatchedBatch:
    """One transaction that handles messages."""

    def __init__(self, number: int, source: Source) -> None:
        self.number = number
        self.subscription = source.name
        self.calls: list[tuple[str, int, str, str, float]] = []


class Instruments:
    """The wrappers, and what they share."""

    def __init__(self, control: ControlFolder, process: str) -> None:
        self.control = control
        self.process = process
        self._journal = os.open(control.journal(process), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._numbers = count(1)
        self._reached: dict[FailPoint, int] = {}
        self._current: ContextVar[WatchedBatch | None] = ContextVar("watched_batch", default=None)
        self._skew = timedelta(0)
        self._skew_read_at = float("-inf")

    def install(self) -> None:
        """Wrap everything. Before the service starts."""
        self._wrap_processor()
        self._wrap_commit()
        self._wrap_relay()
        self._wrap_acknowledgement()
        self._wrap_clock()
        if self.control.forgets_outbox.exists():
            _forget_outbox()

    def note(self, **fields: Any) -> None:
        """Write one line at once, so that a process that is killed leaves all it did."""
        line = {"process": self.process, "pid": os.getpid(), "at": time.monotonic(), "wall": time.time(), **fields}
        os.write(self._journal, json.dumps(line).encode() + b"\n")

    def reach(self, point: FailPoint) -> None:
        """Die here, if that was asked for."""
        armed = self.control.armed / f"{self.process}.{point}"
        try:
            skip = int(armed.read_text())
        except FileNotFoundError:
            self._reached.pop(point, None)
            return
        reached = self._reached[point] = self._reached.get(point, 0) + 1
        if reached > skip:
            # Gone when the point was disarmed meanwhile.
            with suppress(FileNotFoundError):
                armed.rename(self.control.fired / armed.name)
                self.die(str(point))

    def die(self, why: str) -> None:
        """As `kill -9` does it."""
        self.note(event="died", why=why)
        os.kill(os.getpid(), signal.SIGKILL)

    def _wrap_processor(self) -> None:
        transact: Callable[..., Awaitable[None]] = Processor._transact
        call: Callable[..., Awaitable[list[Any]]] = Processor._call

        async def watched_transact(processor: Processor, jobs: list[Job], source: Source, *arguments: Any) -> None:
            if not isinstance(source, SubscriptionSource | HeldSource):
                await transact(processor, jobs, source, *arguments)
                return
            batch = WatchedBatch(next(self._numbers), source)
            token = self._current.set(batch)
            try:
                await transact(processor, jobs, source, *arguments)
            except BaseException as error:
                self.note(event="failed", batch=batch.number, error=f"{type(error).__name__}: {error}"[:300])
                raise
            finally:
                self._current.reset(token)
            duplicates = [str(job.envelope.id) for job in jobs if job.ending is Ending.DUPLICATE]
            if batch.calls or duplicates:
                self.note(event="committed", batch=batch.number, subscription=batch.subscription, duplicates=duplicates)

        async def watched_call(processor: Processor, job: Job, *arguments: Any) -> list[Any]:
            batch = self._current.get()
            begun_at = time.monotonic()
            session = job.envelope.session_id
            if self._is_harmed(batch, session):
                job.error = ArithmeticError("a handler that fails at every attempt")
                return []
            events = await call(processor, job, *arguments)
            if batch is not None and job.error is None:
                envelope = job.envelope
                batch.calls.append((str(envelope.id), envelope.attempt_epoch, envelope.type, session, begun_at))
                if isinstance(job.message, COMPENSATED) and processor.consumer.service in COMPENSATING:
                    self.reach(FailPoint.IN_A_COMPENSATION)
            return events

        _replace(Processor, "_transact", watched_transact)
        _replace(Processor, "_call", watched_call)

    def _is_harmed(self, batch: WatchedBatch | None, session: str) -> bool:
        """Whether the handler is to raise. Does not return when the message is to kill."""
        if batch is None or self.control.cured.exists():
            return False
        if session.startswith(KILLS_PREFIX):
            self.die("poison")
        try:
            subscription, modulus, remainder = json.loads(self.control.afflicted.read_bytes())
        except FileNotFoundError:
            return session.startswith(RAISES_PREFIX)
        return bool(batch.subscription == subscription and crc32(session.encode()) % modulus == remainder)

    def _wrap_commit(self) -> None:
        commit: Callable[[Transaction], Awaitable[None]] = Transaction.commit

        async def watched_commit(transaction: Transaction) -> None:
            batch = self._current.get()
            if batch is not None and batch.calls:
                self.reach(FailPoint.BEFORE_COMMIT)
                self.note(event="commit", batch=batch.number, subscription=batch.subscription, calls=batch.calls)
            await commit(transaction)

        _replace(Transaction, "commit", watched_commit)

    def _wrap_relay(self) -> None:
        enqueue: Callable[..., None] = Relay.enqueue
        publish: Callable[[Publisher, Sequence[Outgoing]], Awaitable[list[Outcome]]] = Publisher.publish

        def watched_enqueue(relay: Relay, messages: Sequence[Outgoing], **behind: bool) -> None:
            if messages:
                self.reach(FailPoint.COMMIT_TO_PUBLISH)
            enqueue(relay, messages, **behind)

        async def watched_publish(publisher: Publisher, messages: Sequence[Outgoing]) -> list[Outcome]:
            outcomes = await publish(publisher, messages)
            if any(outcome.fate is Fate.CONFIRMED for outcome in outcomes):
                self.reach(FailPoint.PUBLISH_TO_MARK)
            return outcomes

        _replace(Relay, "enqueue", watched_enqueue)
        _replace(Publisher, "publish", watched_publish)

    def _wrap_acknowledgement(self) -> None:
        acknowledge: Callable[[Lane, Any], Awaitable[None]] = Lane._acknowledge

        async def watched_acknowledge(lane: Lane, message: Any) -> None:
            self.reach(FailPoint.COMMIT_TO_ACKNOWLEDGE)
            await acknowledge(lane, message)

        _replace(Lane, "_acknowledge", watched_acknowledge)

    def _wrap_clock(self) -> None:
        def skewed_now() -> datetime:
            return utc_now() + self._current_skew()

        # Every module has taken its own reference to the function.
        for module in list(sys.modules.values()):
            if module.__name__ != __name__ and getattr(module, "utc_now", None) is utc_now:
                _replace(module, "utc_now", skewed_now)

    def _current_skew(self) -> timedelta:
        now = time.monotonic()
        if now - self._skew_read_at > SKEW_POLL_S:
            self._skew_read_at = now
            try:
                skew = timedelta(seconds=float((self.control.skews / self.process).read_text()))
            except FileNotFoundError:
                skew = timedelta(0)
            if skew != self._skew:
                self._skew = skew
                self.note(event="skewed", skew_s=skew.total_seconds())
        return self._skew


def _replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
    assert hasattr(owner, name)  # else nothing would be watched
    setattr(owner, name, function)


def _forget_outbox() -> None:
    save: Callable[..., Awaitable[bool]] = outbox.save

    async def save_no_messages(
        connection: Any, writes: Sequence[Write], _messages: Sequence[Outgoing], owner: int, *confirmed: Any
    ) -> bool:
        """What is to be published is in the memory of the process only."""
        return await save(connection, writes, [], owner, *confirmed)

    _replace(outbox, "save", save_no_messages)


def main() -> None:
    """Serve the package named on the command line."""
    control, process = ControlFolder.of_environment()
    Instruments(control, process).install()
    serve.main()


if __name__ == "__main__":
    main()
