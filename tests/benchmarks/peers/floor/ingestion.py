"""Ingestion, apart from the intake of requests."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from peers.floor.messages import REQUESTED, SCHEDULED, Event, Scheduled
from peers.floor.service import Service
from peers.floor.statements import CONCLUDE


class Ingestion(Service):
    """Tells the requests what became of them."""

    name, subscription = "ingestion", "ingestion.delivery-events"
    publishes = REQUESTED
    decoders: ClassVar = {SCHEDULED: msgspec.json.Decoder(list[Event[Scheduled]])}

    async def handle(self, events: Sequence[Event[Scheduled]]) -> None:
        told = [event.data for event in events]
        rows = ((one.delivery_id, one.drone_id, one.pickup_eta, one.dropoff_eta, one.occurred_at) for one in told)
        handled = [event.id for event in events]
        await self._database.execute(CONCLUDE, handled, datetime.now(UTC), *zip(*rows, strict=True))
