"""Takes what arrives in the dead-letter queues of all services into the database, and acknowledges after the commit."""

import asyncio
from collections import deque
from collections.abc import Container, Sequence
from contextlib import suppress
from functools import partial

import asyncpg
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from prometheus_client import Counter
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from dead_letters import ledger
from dead_letters.arrivals import read_arrivals
from dead_letters.origins import ORIGINS
from shared_runtime.broker import close_quietly, connect, is_open
from shared_runtime.consumer import Subscription
from shared_runtime.envelope import utc_now
from shared_runtime.errors import DatabaseUnavailable, is_conflict, text_of
from shared_runtime.service import Service
from shared_runtime.supervision import Pause, was_cancelled

log = structlog.get_logger(__name__)

NAME = "dead-letter-intake"
PREFETCH_MAX = 64
PREFETCH_FIRST = 4
"""Until it is known how large the messages of a queue are."""
BYTES_PER_QUEUE = 4 * 1024 * 1024
"""So much of a queue is in memory at the same time, as far as one message is not larger."""
BATCH_MESSAGES = 500
BATCH_BYTES = 8 * 1024 * 1024
ATTACH_TIMEOUT_S = 10.0
WATCH_INTERVAL_S = 1.0
CONFLICT_ATTEMPTS = 8

STORED = Counter("dead_letters_stored_total", "Dead letters taken into the database", ["subscription"])


class QueueIntake:
    """One dead-letter queue: a channel, a consumer, and what has arrived."""

    def __init__(self, subscription: Subscription, wake: asyncio.Event) -> None:
        self.subscription = subscription
        self.queue = subscription.dead_letter_queue
        self.arrived: deque[AbstractIncomingMessage] = deque()
        self._wake = wake
        self._channel: AbstractChannel | None = None
        self._consumers: Container[str] = ()
        self._consumer_tag = ""
        self._prefetch = PREFETCH_FIRST
        self.is_adapting = False
        """Whether the channel was given up for another prefetch, and is to be attached again."""

    @property
    def is_attached(self) -> bool:
        """Whether the broker still has the consumer: it ends consumers whose queue is deleted."""
        return self._channel is not None and not self._channel.is_closed and self._consumer_tag in self._consumers

    async def attach(self, connection: AbstractConnection) -> None:
        """Begin to consume. What an earlier channel had delivered and nobody acknowledged is delivered again."""
        await self.close()
        channel = self._channel = await connection.channel(publisher_confirms=False)
        underlay = await channel.get_underlay_channel()
        self._consumers = underlay.consumers  # type: ignore[attr-defined]
        self.arrived = deque()
        # The number is for consumers that begin after it is set.
        await channel.set_qos(prefetch_count=self._prefetch)
        queue = await channel.get_queue(self.queue, ensure=False)
        self._consumer_tag = await queue.consume(partial(self._arrive, self.arrived))
        self.is_adapting = False

    async def adapt(self, largest_bytes: int) -> None:
        """Prefetch as many messages of this size as fit into memory: the broker itself counts only messages.

        The channel is given up for that, and attached again by whoever watches. A consumer that is only cancelled may
        keep what is on its way to it: a quorum queue then counts it as delivered, and nobody gets it.
        """
        wanted = max(1, min(PREFETCH_MAX, BYTES_PER_QUEUE // max(1, largest_bytes)))
        channel = self._channel
        if channel is None or channel.is_closed or self._prefetch / 2 < wanted < self._prefetch * 2:
            return
        self._prefetch = wanted
        self.is_adapting = True
        await self.close()

    async def close(self) -> None:
        """Give the channel up. What is not acknowledged goes back to the queue."""
        channel, self._channel = self._channel, None
        if channel is not None and not channel.is_closed:
            await close_quietly(channel)

    async def _arrive(self, arrived: deque[AbstractIncomingMessage], message: AbstractIncomingMessage) -> None:
        arrived.append(message)
        self._wake.set()


Taken = list[tuple[QueueIntake, AbstractIncomingMessage]]


class Intake:
    """All dead-letter queues, on a connection of their own."""

    def __init__(self, service: Service, origins: Sequence[Subscription]) -> None:
        self._service = service
        self._wake = asyncio.Event()
        self._queues = [QueueIntake(one, self._wake) for one in origins]
        self._refused: dict[str, str] = {}
        self._trouble: str | None = None

    def problem(self) -> str | None:
        """What keeps dead letters from being taken in, for readiness."""
        missing = [one.queue for one in self._queues if not (one.is_attached or one.is_adapting)]
        troubles = [f"missing on {', '.join(missing)}"] if missing else []
        if self._trouble:
            troubles.append(self._trouble)
        if self._refused:
            troubles.append(f"{len(self._refused)} cannot be stored: {next(iter(self._refused.values()))}")
        return "; ".join(troubles) or None

    async def run(self) -> None:
        """Connect, and take in what arrives until the connection is lost."""
        self._refused = {}
        connection = await connect(self._service.settings.broker_url, f"{self._service.consumer.service} intake")
        watch = asyncio.create_task(self._keep_attached(connection))
        try:
            while is_open(connection):
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_INTERVAL_S):
                        await self._wake.wait()
                self._wake.clear()
                while taken := self._take():
                    await self._store(taken)
                    await self._adapt(taken)
                if watch.done():
                    watch.result()
        finally:
            watch.cancel()
            await close_quietly(connection)

    async def _keep_attached(self, connection: AbstractConnection) -> None:
        while is_open(connection):
            missing = [one for one in self._queues if not one.is_attached]
            await asyncio.gather(*(self._attach(one, connection) for one in missing))
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _attach(self, queue: QueueIntake, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(ATTACH_TIMEOUT_S):
                await queue.attach(connection)
        except (*CONNECTION_EXCEPTIONS, asyncio.CancelledError) as error:
            if was_cancelled():
                raise
            await queue.close()
            log.warning("not_consuming", queue=queue.queue, error=text_of(error))

    def _take(self) -> Taken:
        """What has arrived, a message of each queue in turn, up to the size of a batch."""
        taken: Taken = []
        size = 0
        while size < BATCH_BYTES and len(taken) < BATCH_MESSAGES:
            waiting = [one for one in self._queues if one.arrived]
            if not waiting:
                break
            for queue in waiting:
                message = queue.arrived.popleft()
                size += len(message.body)
                taken.append((queue, message))
        return taken

    async def _store(self, taken: Taken) -> None:
        """Store and acknowledge; what the database refuses stands alone in the end, and stays with the broker."""
        try:
            await self._commit(taken)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if len(taken) == 1:
                ((queue, message),) = taken
                log.exception("dead_letter_refused", queue=queue.queue, message_id=message.message_id)
                self._refused[f"{queue.queue}/{message.delivery_tag}"] = text_of(error)
                return
            middle = len(taken) // 2
            await self._store(taken[:middle])
            await self._store(taken[middle:])
        else:
            await self._acknowledge(taken)

    async def _commit(self, taken: Taken) -> None:
        """Until it is committed: the messages stay in hand while the database is away, or a row is locked by others."""
        pause = Pause()
        while True:
            try:
                async for attempt in AsyncRetrying(
                    retry=retry_if_exception(is_conflict),
                    stop=stop_after_attempt(CONFLICT_ATTEMPTS),
                    wait=wait_random_exponential(multiplier=0.01, max=0.25),
                    reraise=True,
                ):
                    with attempt:
                        await self._transact(taken)
            except (DatabaseUnavailable, asyncpg.LockNotAvailableError) as error:
                if self._trouble is None:
                    log.warning("database_unavailable", messages=len(taken), error=text_of(error))
                self._trouble = text_of(error)
                await asyncio.sleep(pause.next_s())
            else:
                self._trouble = None
                return

    async def _transact(self, taken: Taken) -> None:
        now = utc_now()
        arrivals = [one for queue, message in taken for one in read_arrivals(message, queue.subscription, now)]
        async with self._service.database.transaction() as connection:
            await ledger.store(connection, arrivals, now)
        for queue, _ in taken:
            STORED.labels(queue.subscription.name).inc()

    async def _acknowledge(self, taken: Taken) -> None:
        """When a channel is gone, its messages are delivered again, and the failures are known then."""
        # The last message of a queue stands for all before it, unless one of those was refused.
        messages = [one for _, one in taken] if self._refused else list(dict(taken).values())
        for message in messages:
            try:
                await message.ack(multiple=not self._refused)
            except CONNECTION_EXCEPTIONS as error:
                log.info("not_acknowledged", error=text_of(error))
            except asyncio.CancelledError:
                if was_cancelled():
                    raise

    async def _adapt(self, taken: Taken) -> None:
        largest: dict[QueueIntake, int] = {}
        for queue, message in taken:
            largest[queue] = max(largest.get(queue, 0), len(message.body))
        for queue, size in largest.items():
            with suppress(*CONNECTION_EXCEPTIONS):
                await queue.adapt(size)


async def run(service: Service) -> None:
    """The loop of the service; it is started again when the connection is lost."""
    intake = Intake(service, list(ORIGINS.values()))
    service.extra_problems[NAME] = intake.problem
    await intake.run()
