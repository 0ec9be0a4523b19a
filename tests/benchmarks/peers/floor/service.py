"""What all services have in common: whatever has arrived is one batch, handled at once and once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import asyncpg
import msgspec
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from peers.floor.messages import Attributes, Event, attributes
from peers.floor.outbox import Outbox
from peers.floor.statements import HANDLED, Row


class Service(ABC):
    """What handles the events of one subscription, whose queue has the same name."""

    name: ClassVar[str]
    subscription: ClassVar[str]
    publishes: ClassVar[str]
    decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]]
    """By the type of the events, which is the same within a message, and its routing key."""

    def __init__(self, database: asyncpg.Connection, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    @abstractmethod
    async def handle(self, events: Sequence[Any]) -> None:
        """Commit what a batch leads to. Raises IntegrityConstraintViolationError when some of it is known."""

    async def unhandled(self, events: Sequence[Any]) -> list[Any]:
        """The events that were not handled before, each once."""
        rows = await self._database.fetch(HANDLED, [event.id for event in events], self.subscription)
        known = {row[0] for row in rows}
        return list({event.id: event for event in events if event.id not in known}.values())

    async def consume(self, channel: AbstractChannel) -> None:
        """Handle whatever has arrived, as one batch, again and again. Acknowledges what is committed."""
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await (await channel.get_queue(self.subscription)).consume(arrived.put)
        while True:
            messages = [await arrived.get()]
            while not arrived.empty():
                messages.append(arrived.get_nowait())
            events = [
                event for message in messages for event in self.decoders[message.routing_key or ""].decode(message.body)
            ]
            try:
                await self.handle(events)
            except asyncpg.IntegrityConstraintViolationError:
                if events := await self.unhandled(events):
                    await self.handle(events)
            await messages[-1].ack(multiple=True)

    async def _commit(
        self,
        statement: str,
        now: datetime,
        answers: Sequence[Event[Any]],
        events: Sequence[Event[Any]],
        *rows: Sequence[Row],
    ) -> None:
        handled = [event.id for event in events]
        await self._outbox.commit(statement, now, answers, self.subscription, handled, *rows)

    def _because_of(self, event: Event[Any], now: datetime) -> Attributes:
        return attributes(self.publishes, f"/services/{self.name}", now, event.subject, event.id)
