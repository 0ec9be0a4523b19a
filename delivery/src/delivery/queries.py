"""What the API reads, page by page. Pages follow a key, so that rows which come or go do not shift them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from delivery.domain.delivery import Delivery, TrackingEvent
from delivery.domain.notifying import NotifyMeRequest
from delivery.tables import DeliveryRow, NotifyMeRequestRow, TrackingEventRow
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage


class InvalidCursor(ValueError):
    """The cursor is none that this service gave out."""


class DeliveryFilter(Struct, frozen=True):
    """Which deliveries are asked for. What is None does not restrict."""

    owner_id: str | None = None
    stages: frozenset[DeliveryStage] | None = None
    drone_id: UUID | None = None


class DeliveryPage(Struct, frozen=True):
    deliveries: list[Delivery]
    next: str | None


async def delivery_by_id(session: AsyncSession, delivery_id: UUID) -> Delivery | None:
    """One delivery, None when it is unknown."""
    row = await session.get(DeliveryRow, delivery_id)
    return row.state if row is not None else None


async def deliveries(session: AsyncSession, wanted: DeliveryFilter, *, cursor: str | None, limit: int) -> DeliveryPage:
    """A page of deliveries, the longest known first. Raises InvalidCursor."""
    key = tuple_(col(DeliveryRow.created_at), col(DeliveryRow.delivery_id))
    query = select(DeliveryRow).order_by(col(DeliveryRow.created_at), col(DeliveryRow.delivery_id)).limit(limit + 1)
    if wanted.owner_id is not None:
        query = query.where(DeliveryRow.owner_id == wanted.owner_id)
    if wanted.stages is not None:
        query = query.where(col(DeliveryRow.stage).in_(wanted.stages))
        if not wanted.stages & TERMINAL_STAGES:
            # Says the same once more, in the words of the index.
            query = query.where(col(DeliveryRow.ended_at).is_(None))
    if wanted.drone_id is not None:
        query = query.where(DeliveryRow.drone_id == wanted.drone_id)
    if cursor is not None:
        query = query.where(key > _delivery_position(cursor))
    rows = (await session.exec(query)).all()
    page = [row.state for row in rows[:limit]]
    return DeliveryPage(
        page, to_cursor(page[-1].created_at.isoformat(), str(page[-1].delivery_id)) if len(rows) > limit else None
    )


async def tracking_events(
    session: AsyncSession, delivery_id: UUID, *, after: int, limit: int
) -> tuple[list[TrackingEvent], int | None]:
    """A page of a delivery's history behind the event with sequence `after`, and behind which the next page begins."""
    query = (
        select(TrackingEventRow)
        .where(TrackingEventRow.delivery_id == delivery_id, col(TrackingEventRow.sequence) > after)
        .order_by(col(TrackingEventRow.sequence))
        .limit(limit + 1)
    )
    rows = (await session.exec(query)).all()
    events = [TrackingEvent(**row.model_dump()) for row in rows[:limit]]
    return events, events[-1].sequence if len(rows) > limit else None


async def notify_me_requests(session: AsyncSession, delivery_id: UUID) -> list[NotifyMeRequest]:
    """The standing wishes, the oldest first."""
    query = (
        select(NotifyMeRequestRow)
        .where(NotifyMeRequestRow.delivery_id == delivery_id, col(NotifyMeRequestRow.withdrawn_at).is_(None))
        .order_by(col(NotifyMeRequestRow.created_at), col(NotifyMeRequestRow.request_id))
    )
    return [NotifyMeRequest(**row.model_dump()) for row in (await session.exec(query)).all()]


async def count_of_owner(session: AsyncSession, owner_id: str) -> tuple[int, int]:
    """How many deliveries the owner has or had, and how many of them have not ended."""
    under_way = col(DeliveryRow.stage).not_in(TERMINAL_STAGES)
    query = select(func.count(), func.count().filter(under_way)).where(DeliveryRow.owner_id == owner_id)
    return (await session.exec(query)).one()


def _delivery_position(cursor: str) -> tuple[datetime, UUID]:
    created_at, delivery_id = from_cursor(cursor)
    try:
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise InvalidCursor(cursor)
        # Some moments exist in their own zone only: the first and the last hours of time.
        return moment.astimezone(UTC), UUID(delivery_id)
    except (ValueError, OverflowError) as error:
        raise InvalidCursor(cursor) from error


def to_cursor(first: str, second: str) -> str:
    """The key of the last row of a page, opaque to clients. `first` has no space."""
    return urlsafe_b64encode(f"{first} {second}".encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> tuple[str, str]:
    """The key that a cursor holds. Raises InvalidCursor."""
    try:
        first, separator, second = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(" ")
    except ValueError as error:
        raise InvalidCursor(cursor) from error
    if not separator or "\x00" in cursor + first + second:
        raise InvalidCursor(cursor)
    return first, second
