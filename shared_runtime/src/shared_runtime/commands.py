"""Commands from HTTP, handled as messages are. Those that wait together share one transaction."""

import asyncio
from collections import deque
from typing import Any

from shared_runtime.context import current_step
from shared_runtime.errors import DatabaseUnavailable, Overloaded
from shared_runtime.processor import Ending, Job, Processor, Source
from shared_runtime.rest import rest

MAX_WAITING = 2_000
MAX_BATCH = 200
ENOUGH = 100
"""So many are worth a transaction at once."""
TIMEOUT_S = 10.0


class CommandSource(Source):
    """Commands have no inbox: who sent one waits for its answer."""

    name = "commands"


class Commands:
    """The queue between HTTP requests and their transactions."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._waiting: deque[tuple[Job, asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()

    async def execute(self, command: Any) -> Any:
        """Run the command's handler and return its answer once the transaction has committed.

        Raises what the handler raised (then nothing is stored), Overloaded when too many commands wait, TimeoutError
        when there is no answer within ten seconds (then the outcome is open), DatabaseUnavailable.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded(f"{len(self._waiting)} commands are waiting")
        kind = type(command)
        envelope = self._processor.envelope_for(kind.__name__, traceparent=current_step.get().traceparent)
        job = Job(envelope, self._processor.consumer.registrations[kind], command)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        self._wake.set()
        async with asyncio.timeout(TIMEOUT_S):
            return await future

    async def run(self) -> None:
        """Take whatever has arrived, for ever.

        After a transaction that several shared it rests. One that had a single command may be somebody's who sends them
        one after the other, and would be half as fast.
        """
        clock = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            batch: list[tuple[Job, asyncio.Future[Any]]] = []
            while self._waiting and len(batch) < MAX_BATCH:
                job, future = self._waiting.popleft()
                # Who sent it may have given up.
                if not future.done():
                    batch.append((job, future))
            if not self._waiting:
                self._wake.clear()
            began_at_s = clock.time()
            if batch:
                await self._run_batch(batch)
            if len(batch) > 1:
                await rest(clock.time() - began_at_s, self.has_enough)

    def has_enough(self) -> bool:
        """Whether enough commands wait for the next transaction."""
        return len(self._waiting) >= ENOUGH

    def refuse_waiting(self) -> None:
        """Nobody is going to run what waits: the service stops."""
        while self._waiting:
            job, future = self._waiting.popleft()
            job.error = Overloaded("the service stops")
            _answer(job, future)

    async def _run_batch(self, batch: list[tuple[Job, asyncio.Future[Any]]]) -> None:
        failure: Exception = Overloaded("the service gave up")
        try:
            await self._processor.run_isolating([job for job, _ in batch], CommandSource(), _refused)
        except DatabaseUnavailable as error:
            failure = error
        finally:
            for job, future in batch:
                if job.ending is None:
                    job.error = failure
                _answer(job, future)

    @property
    def waiting(self) -> int:
        """How many commands wait for their transaction."""
        return len(self._waiting)


async def _refused(job: Job, error: BaseException) -> None:
    job.error, job.ending = error, Ending.REFUSED


def _answer(job: Job, future: asyncio.Future[Any]) -> None:
    if future.done():
        return
    if job.error is not None:
        future.set_exception(job.error)
    else:
        future.set_result(job.result)
