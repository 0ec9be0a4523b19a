"""How events are committed with what they tell of, and get to the broker."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractExchange

from peers.floor.messages import BATCH, Event, new_id, write


class Outbox:
    """Commits events of one type with the rows that they tell of, then publishes them in the background.

    The task group ends the process when the broker does not take them.
    """

    def __init__(
        self, database: asyncpg.Connection, exchange: AbstractExchange, message_type: str, tasks: asyncio.TaskGroup
    ) -> None:
        self._database, self._exchange, self._message_type, self._tasks = database, exchange, message_type, tasks
        self._confirmed: list[str] = []

    async def commit(self, statement: str, now: datetime, events: Sequence[Event[Any]], *parameters: Any) -> None:
        """Run a statement that begins with OUTBOX. Without events there is no message."""
        confirmed, outbox_id = tuple(self._confirmed), new_id()
        route = (self._exchange.name, self._message_type)
        properties = f'{{"content_type":"{BATCH}","message_id":"{outbox_id}"}}'
        body = write(events) if events else None
        await self._database.execute(statement, confirmed, outbox_id, *route, properties, body, now, *parameters)
        del self._confirmed[: len(confirmed)]
        if body is not None:
            self._tasks.create_task(self._publish(outbox_id, body))

    async def publish_leftovers(self) -> None:
        """Publish what an earlier process has committed and not seen confirmed."""
        for outbox_id, body in await self._database.fetch("SELECT id::text, body FROM outbox ORDER BY position"):
            self._tasks.create_task(self._publish(outbox_id, body))

    async def _publish(self, outbox_id: str, body: bytes) -> None:
        persistent = aio_pika.DeliveryMode.PERSISTENT
        message = aio_pika.Message(body, content_type=BATCH, delivery_mode=persistent, message_id=outbox_id)
        await self._exchange.publish(message, routing_key=self._message_type, timeout=60)
        self._confirmed.append(outbox_id)
