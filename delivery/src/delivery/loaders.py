"""Who wants to be told of which deliveries, for a whole batch of messages with one statement."""

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

import asyncpg
from msgspec import Struct

from delivery.domain.notifying import NotifyMeRequest
from delivery.tables import NOTIFY_ME_REQUESTS


class AboutDelivery(Protocol):
    """A message, a command or a due row that names its delivery."""

    @property
    def delivery_id(self) -> UUID | None: ...


class Wishes(Struct, frozen=True):
    """The standing notify-me requests for a delivery, the oldest first."""

    key: UUID
    """The delivery."""
    requests: tuple[NotifyMeRequest, ...] = ()


async def load_wishes(connection: asyncpg.Connection, messages: Sequence[AboutDelivery]) -> Iterable[Wishes]:
    """The wishes for every delivery that the messages name.

    Whoever adds one holds the delivery's row, which the batch has locked before it comes here: none is overlooked.
    """
    deliveries = {message.delivery_id for message in messages if message.delivery_id is not None}
    records = await connection.fetch(
        """
        SELECT request_id, delivery_id, owner_id, channel, stages, created_at, withdrawn_at
        FROM notify_me_request
        WHERE delivery_id = ANY($1::uuid[]) AND withdrawn_at IS NULL
        ORDER BY created_at, request_id
        """,
        list(deliveries),
    )
    requests = [NOTIFY_ME_REQUESTS.from_record(record) for record in records]
    return [
        Wishes(delivery_id, tuple(request for request in requests if request.delivery_id == delivery_id))
        for delivery_id in deliveries
    ]
