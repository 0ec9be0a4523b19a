"""How reports reach the services: as messages over the broker, or in batches over HTTP."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
from aio_pika.abc import AbstractRobustConnection
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange

from fleet_simulator.outages import Outage
from fleet_simulator.services import Services
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_contracts.topology import PARTITIONS
from shared_runtime.envelope import Envelope, new_id, utc_now
from shared_runtime.outbox import Outgoing, Routed, pack
from shared_runtime.partition import partition_of

CONNECT_TIMEOUT_S = 10.0
RECONNECT_INTERVAL_S = 1.0
RESTORE_LIMIT_S = 30.0
CONFIRM_TIMEOUT_S = 8.0
CLOSE_TIMEOUT_S = 3.0
REPORTS_PER_REQUEST = 400
"""The delivery service takes up to 500."""

SOURCE = "/fleet"
TOPIC = DroneTelemetryReported.topic
MESSAGE_TYPE = DroneTelemetryReported.message_type


class TelemetryLink(Protocol):
    """A way for reports to reach the services."""

    async def send(self, reports: Sequence[DroneTelemetryReported]) -> None:
        """Send them in their order. When it returns they are safe; raises Outage when that is not certain."""

    async def close(self) -> None:
        """Give the connection up."""


class HttpLink:
    """For drones that may not speak to the broker."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def send(self, reports: Sequence[DroneTelemetryReported]) -> None:
        """See TelemetryLink."""
        for begin in range(0, len(reports), REPORTS_PER_REQUEST):
            await self._services.report(reports[begin : begin + REPORTS_PER_REQUEST])

    async def close(self) -> None:
        """The services' connections are not this link's to close."""


class BrokerLink:
    """Persistent, mandatory, confirmed messages on the topic of drone telemetry.

    FastStream is the client: at the edge, where nothing is lost when a position is sent twice or late.
    """

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._broker: RabbitBroker | None = None
        self._connection: AbstractRobustConnection | None = None
        self._failing_since: float | None = None
        # The user may not declare anything; the exchange is there.
        self._exchange = RabbitExchange(TOPIC, type=ExchangeType.TOPIC, declare=False)

    async def send(self, reports: Sequence[DroneTelemetryReported]) -> None:
        """See TelemetryLink. The reports of one partition travel as one batch."""
        messages = pack(routed(report) for report in reports)
        broker = self._broker or await self._connect()
        # Tasks of their own, because FastStream's `timeout` is dropped, and because a stalled broker makes a publish
        # end as if it had been cancelled.
        tasks = [asyncio.create_task(self._publish(broker, message)) for message in messages]
        try:
            done, pending = await asyncio.wait(tasks, timeout=CONFIRM_TIMEOUT_S)
        finally:
            for task in tasks:
                task.cancel()
        failures = [_failure(task) for task in done]
        failed = next((failure for failure in failures if failure is not None), None)
        if failed is None and not pending:
            self._failing_since = None
            return
        await self._replace_when_stuck()
        reason = f"{type(failed).__name__} {failed}" if failed else f"no confirm within {CONFIRM_TIMEOUT_S:g} s"
        raise Outage(f"broker: {reason}") from failed

    async def close(self) -> None:
        """Give the connection up, also one that does not answer."""
        connection, self._connection, self._broker = self._connection, None, None
        if connection is not None:
            # Not the broker's `stop`, which would wait for a channel that does not answer and leave the connection.
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), CLOSE_TIMEOUT_S)

    async def _replace_when_stuck(self) -> None:
        """The connection restores itself; one that has not for long is replaced by the next sending."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > RESTORE_LIMIT_S:
            self._failing_since = None
            await self.close()

    async def _connect(self) -> RabbitBroker:
        broker = RabbitBroker(
            self._broker_url,
            default_channel=Channel(publisher_confirms=True, on_return_raises=True),
            logger=None,
            timeout=CONNECT_TIMEOUT_S,
            reconnect_interval=RECONNECT_INTERVAL_S,
        )
        try:
            # Not `start`, which would declare a queue for answers. The limit is above the connection's own, which
            # leaves nothing behind when it is reached.
            self._connection = await asyncio.wait_for(broker.connect(), 2 * CONNECT_TIMEOUT_S)
        except (Exception, asyncio.CancelledError) as error:
            if _is_being_cancelled():
                raise
            raise Outage(f"broker: {type(error).__name__} {error}") from error
        self._broker = broker
        return broker

    async def _publish(self, broker: RabbitBroker, message: Outgoing) -> None:
        await broker.publish(
            message.body,
            exchange=self._exchange,
            routing_key=message.routing_key,
            content_type=message.properties.content_type,
            headers=message.properties.headers,
            message_id=message.properties.message_id,
            message_type=message.properties.type,
            correlation_id=message.properties.correlation_id,
            mandatory=True,
            persist=True,
        )


def routed(report: DroneTelemetryReported) -> Routed:
    """The report as a CloudEvent, and where it goes."""
    session_id = str(report.session_id)
    envelope = Envelope(
        specversion="1.0",
        id=new_id(),
        source=SOURCE,
        type=MESSAGE_TYPE,
        time=utc_now(),
        session_id=session_id,
        correlation_id=str(report.delivery_id or report.drone_id),
        data=msgspec.Raw(report.model_dump_json().encode()),
    )
    return Routed(str(TOPIC), f"{MESSAGE_TYPE}.{partition_of(session_id, PARTITIONS)}", envelope)


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    if task.cancelled():
        return asyncio.CancelledError("the publish was cancelled by the connection")
    return task.exception()


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
