"""How many deliveries there are, how far they flew and how many were on time."""

import json
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from delivery.queries import from_cursor, to_cursor
from shared_contracts.domain_types import DeliveryStage


class Span(Struct, frozen=True):
    """The deliveries first heard of from `since` to before `until`, of one owner or, when that is None, of all."""

    owner_id: str | None
    since: datetime
    until: datetime


class Tally(Struct, frozen=True):
    """How a group of deliveries stands."""

    stages: dict[DeliveryStage, int]
    distance_flown_m: float
    late: int
    """How many were scheduled and not handed over before the deadline."""

    @property
    def on_time_share(self) -> float | None:
        """The share of the handed over among those that were handed over or came too late."""
        completed = self.stages.get(DeliveryStage.COMPLETED, 0)
        return completed / (completed + self.late) if completed + self.late else None


class MonthTally(Struct, frozen=True):
    owner_id: str
    month: str
    tally: Tally


# Per stage, so that the parts can be put together to totals and to months.
_BY_STAGE = """
    SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, owner_id, stage,
           count(*) AS deliveries,
           sum(distance_flown_m) AS distance_flown_m,
           count(*) FILTER (WHERE failure_reason = 'deadline_passed') AS late
    FROM delivery
    WHERE created_at >= :since AND created_at < :until
      AND (CAST(:owner_id AS text) IS NULL OR owner_id = :owner_id)
    GROUP BY month, owner_id, stage
"""

_TOTAL = f"""
    SELECT stage, sum(deliveries) AS deliveries, sum(distance_flown_m) AS distance_flown_m, sum(late) AS late
    FROM ({_BY_STAGE}) AS by_stage
    GROUP BY stage
"""  # noqa: S608 - a constant

_MONTHS = f"""
    SELECT month, owner_id, CAST(jsonb_object_agg(stage, deliveries) AS text) AS stages,
           sum(distance_flown_m) AS distance_flown_m, sum(late) AS late
    FROM ({_BY_STAGE}) AS by_stage
    WHERE (month, owner_id) > (CAST(:after_month AS text), CAST(:after_owner AS text))
    GROUP BY month, owner_id
    ORDER BY month, owner_id
    LIMIT :limit
"""  # noqa: S608 - a constant


async def total(session: AsyncSession, span: Span) -> Tally:
    """All deliveries of the span together."""
    connection = await session.connection()
    rows = (await connection.execute(text(_TOTAL), asdict(span))).all()
    return Tally(
        stages=_stages({row.stage: int(row.deliveries) for row in rows}),
        distance_flown_m=sum(row.distance_flown_m for row in rows),
        late=sum(int(row.late) for row in rows),
    )


async def months(
    session: AsyncSession, span: Span, *, cursor: str | None, limit: int
) -> tuple[list[MonthTally], str | None]:
    """The same by month (UTC) and owner: a page, and the cursor of the next one. Raises InvalidCursor."""
    after_month, after_owner = from_cursor(cursor) if cursor is not None else ("", "")
    connection = await session.connection()
    values = asdict(span) | {"after_month": after_month, "after_owner": after_owner, "limit": limit + 1}
    rows = (await connection.execute(text(_MONTHS), values)).all()
    page = [
        MonthTally(
            owner_id=row.owner_id,
            month=row.month,
            tally=Tally(
                stages=_stages(json.loads(row.stages)), distance_flown_m=row.distance_flown_m, late=int(row.late)
            ),
        )
        for row in rows[:limit]
    ]
    return page, to_cursor(page[-1].month, page[-1].owner_id) if len(rows) > limit else None


def _stages(counts: Mapping[str, int]) -> dict[DeliveryStage, int]:
    return {stage: counts.get(stage, 0) for stage in DeliveryStage}
