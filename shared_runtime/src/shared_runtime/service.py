"""The running parts of a service, started and stopped in the right order."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog

from shared_runtime import held, inbox, outbox
from shared_runtime.commands import Commands
from shared_runtime.consumer import Consumer
from shared_runtime.database import Database
from shared_runtime.dead_letter_limit import DeadLetterLimit
from shared_runtime.deadlines import Deadlines, Periodically
from shared_runtime.held_retries import HeldRetries
from shared_runtime.messages import SubscriptionSource
from shared_runtime.metrics import HELD, OUTBOX_AGE, OUTBOX_DEPTH, PARKED
from shared_runtime.processor import Processor
from shared_runtime.relay import Relay
from shared_runtime.settings import ServiceSettings
from shared_runtime.subscriber import Subscriber
from shared_runtime.supervision import Supervisor
from shared_runtime.tracing import Tracing, otlp_exporter

log = structlog.get_logger(__name__)

PRUNE_INTERVAL_S = 30.0
PRUNE_LIMIT = 5_000
READINESS_TIMEOUT_S = 2.0


class Service:
    """One process of a service: its subscriptions, commands, deadlines, the relay, and `loops` of its own."""

    def __init__(
        self,
        consumer: Consumer,
        settings: ServiceSettings,
        loops: Mapping[str, Callable[["Service"], Awaitable[None]]] | None = None,
    ) -> None:
        consumer.check()
        self._loops = dict(loops or {})
        self.consumer = consumer
        self.settings = settings
        self.supervisor = Supervisor()
        self.tracing = Tracing(
            consumer.service,
            traces_per_second=settings.traces_per_second,
            exporter=otlp_exporter(settings.otlp_endpoint),
        )
        self.extra_problems: dict[str, Callable[[], str | None]] = {}
        """What `loops` add to readiness: by name, what keeps one from working, or None."""
        self._stopping = False

    async def start(self) -> None:
        """Begin to work. Database and broker may come later: until then the service is not ready."""
        settings = self.settings
        self.database = await Database.open(
            settings.database_url, name=self.consumer.service, max_connections=settings.database_connections
        )
        self.relay = Relay(self.database, settings.broker_url, self.consumer.service)
        self.processor = Processor(self.consumer, self.database, self.relay, self.tracing)
        self.commands = Commands(self.processor)
        sources = [
            SubscriptionSource(
                self.processor, one, DeadLetterLimit(one.name, per_minute=settings.dead_letters_per_minute)
            )
            for one in self.consumer.subscriptions
        ]
        self.subscriber = Subscriber(self.processor, sources, settings.broker_url)
        self.held_retries = HeldRetries(self.processor, sources)
        self.dead_letter_limits = {source.name: source.limit for source in sources}
        self.relay.start(self.supervisor)
        self.supervisor.start("commands", self.commands.run)
        self.supervisor.start("subscriber", self.subscriber.run)
        for subscription, group in self.subscriber.groups.items():
            self.supervisor.start(f"group commit {subscription}", group.run)
        for lane in self.subscriber.lanes:
            self.supervisor.start(f"lane {lane.queue}", lane.run)
        if self.consumer.subscriptions:
            self.supervisor.start("held-retries", self.held_retries.run)
            self.supervisor.start("inbox-prune", self._prune_loop)
        for due in self.consumer.due_columns:
            self.supervisor.start(f"due {due.state.__name__}.{due.column}", Deadlines(self.processor, due).run)
        for periodic in self.consumer.periodics:
            name = f"every {periodic.interval_s} s {periodic.registration.handler.__name__}"
            self.supervisor.start(name, Periodically(self.processor, periodic).run)
        for loop_name, loop in self._loops.items():
            self.supervisor.start(loop_name, partial(loop, self))
        log.info("service_started")

    async def stop(self) -> None:
        """Finish what is in hand, publish it, acknowledge it, and close everything.

        Takes at most `stop_timeout_s`, whatever does not answer. What is not finished then is done by the next process.
        """
        self._stopping = True
        clock = asyncio.get_running_loop()
        end = clock.time() + self.settings.stop_timeout_s

        def left_s(share: float) -> float:
            return max(0.1, share * (end - clock.time()))

        await asyncio.gather(self.subscriber.finish(left_s(0.5)), self.held_retries.finish(left_s(0.5)))
        await self.supervisor.stop(but=Relay.LOOPS, timeout_s=left_s(0.25))
        self.commands.refuse_waiting()
        await self.relay.drain(left_s(0.5))
        await self.supervisor.stop(timeout_s=left_s(0.5))
        await self.database.close(left_s(0.5))
        await self.tracing.close(left_s(1))
        log.info("service_stopped")

    async def readiness(self) -> dict[str, str]:
        """What keeps the service from working, by part. Empty when it is ready."""
        problems: dict[str, str] = {}
        if self._stopping:
            problems["service"] = "stopping"
        try:
            async with asyncio.timeout(READINESS_TIMEOUT_S), self.database.transaction() as connection:
                await connection.fetchval("SELECT 1")
        except Exception as error:
            problems["database"] = f"{type(error).__name__}: {error}"
        if not self.relay.is_connected:
            problems["publisher"] = "not connected to the broker"
        if self.relay.refused_routes:
            routes = ", ".join(f"{route} ({reason})" for route, reason in sorted(self.relay.refused_routes.items()))
            problems["routes"] = f"refused by the broker: {routes}"
        if self.relay.is_full_of_refused:
            problems["outbox"] = "nothing is published on any route: what waits for refused routes fills the memory"
        if self.subscriber.missing_consumers:
            problems["consumers"] = f"missing on {', '.join(self.subscriber.missing_consumers)}"
        paused = {name: limit.trouble for name, limit in self.dead_letter_limits.items() if limit.trouble}
        extra = {name: problem for name, look in self.extra_problems.items() if (problem := look())}
        return problems | self.subscriber.troubles | paused | extra | self.supervisor.failing

    async def refresh_gauges(self) -> None:
        """Bring the figures up to date that are read from the database."""
        async with self.database.transaction() as connection:
            count, age_s = await outbox.depth(connection)
            held_messages, parked = await held.count(connection)
        HELD.set(held_messages)
        PARKED.set(parked)
        OUTBOX_DEPTH.set(count)
        OUTBOX_AGE.set(age_s)

    async def execute(self, command: Any) -> Any:
        """Run a command's handler in a transaction; see Commands.execute."""
        return await self.commands.execute(command)

    async def _prune_loop(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_INTERVAL_S)
            pruned = PRUNE_LIMIT
            while pruned == PRUNE_LIMIT:
                async with self.database.transaction() as connection:
                    pruned = await inbox.prune(
                        connection, older_than_s=self.settings.inbox_retention_s, limit=PRUNE_LIMIT
                    )
