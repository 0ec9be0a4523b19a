"""The package service."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from peers.floor.messages import READY, REQUESTED, Event, Ready, Requested
from peers.floor.service import Service
from peers.floor.statements import REGISTER, Row, columns_of


class PackageService(Service):
    """Registers packages."""

    name, subscription = "package-service", "package-service.delivery-requests"
    publishes = READY
    decoders: ClassVar = {REQUESTED: msgspec.json.Decoder(list[Event[Requested]])}

    async def handle(self, events: Sequence[Event[Requested]]) -> None:
        now, rows, answers = datetime.now(UTC), list[Row](), list[Event[Any]]()
        for event in events:
            asked, one = event.data, event.subject
            how = asked.confirmation_required
            rows.append((one, asked.owner_id, "Ready", *columns_of(asked.package), how, None, now, now))
            ready = Ready(one, asked.owner_id, one, asked.package, how, asked.deadline)
            answers.append(Event(*self._because_of(event, now), ready))
        await self._commit(REGISTER, now, answers, events, rows)
