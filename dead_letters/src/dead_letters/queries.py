"""What support reads. Every list is paged by what it is ordered by, so that the last page costs what the first does."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, Text, cast, func, literal, true, tuple_
from sqlalchemy import literal_column as raw
from sqlalchemy import select as select_columns
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from dead_letters.domain.choice import Choice
from dead_letters.domain.dead_letter import ORIGINAL
from dead_letters.domain.states import State
from dead_letters.selections import conditions_of
from dead_letters.tables import (
    AuditEntryRow,
    BulkItemRow,
    BulkReplayRow,
    DeadLetterRow,
    FailureRow,
    OriginalRow,
    ReplayRow,
    VersionRow,
)
from shared_runtime import Problem

NEWEST_FIRST = (col(DeadLetterRow.last_failed_at).desc(), col(DeadLetterRow.dead_letter_id).desc())


class GroupFacts(Struct, frozen=True):
    """One group, and the dead letter of it that failed last."""

    example: DeadLetterRow
    subscriptions: list[str]
    count: int
    open_count: int
    first_failed_at: datetime
    last_failed_at: datetime


class Position(Struct, frozen=True):
    """How far somebody has followed the changes: the transaction, and the dead letter in it."""

    transaction: int
    dead_letter_id: UUID

    def __str__(self) -> str:
        return f"{self.transaction}.{self.dead_letter_id}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """None when the text is no position."""
        transaction, _, dead_letter_id = text.partition(".")
        try:
            return cls(int(transaction), UUID(dead_letter_id)) if len(transaction) < 19 else None
        except ValueError:
            return None


async def page_of(session: AsyncSession, choice: Choice, limit: int, after: str | None) -> list[DeadLetterRow]:
    """One more than `limit` when there is another page."""
    query = select(DeadLetterRow).where(*conditions_of(choice)).order_by(*NEWEST_FIRST).limit(limit + 1)
    if after is not None:
        last_failed_at, dead_letter_id = _read_cursor(after)
        earlier = tuple_(col(DeadLetterRow.last_failed_at), col(DeadLetterRow.dead_letter_id)) < tuple_(
            literal(last_failed_at), literal(dead_letter_id)
        )
        query = query.where(earlier)
    return list((await session.exec(query)).all())


def everything(choice: Choice) -> Any:
    """The query of an export."""
    return select(DeadLetterRow).where(*conditions_of(choice)).order_by(*NEWEST_FIRST)


async def ids_of(session: AsyncSession, choice: Choice, limit: int) -> list[UUID]:
    """The chosen, the oldest failure first."""
    order = (col(DeadLetterRow.first_failed_at), col(DeadLetterRow.dead_letter_id))
    query = select(DeadLetterRow.dead_letter_id).where(*conditions_of(choice)).order_by(*order).limit(limit)
    return list((await session.exec(query)).all())


async def count_of(session: AsyncSession, choice: Choice, *conditions: ColumnElement[bool]) -> int:
    """How many are chosen."""
    query = select(func.count()).select_from(DeadLetterRow).where(*conditions_of(choice), *conditions)
    return (await session.exec(query)).one()


async def groups_of(session: AsyncSession, choice: Choice, limit: int) -> tuple[list[GroupFacts], int]:
    """The largest groups among the chosen, and how many there are."""
    row = DeadLetterRow
    # Two steps: the first one hashes, the second one has few rows left to sort.
    parts = (
        select_columns(
            col(row.fingerprint).label("fingerprint"),
            col(row.subscription).label("subscription"),
            func.count().label("count"),
            func.count().filter(col(row.state) == State.OPEN.value).label("open_count"),
            func.min(col(row.first_failed_at)).label("first_failed_at"),
            func.max(col(row.last_failed_at)).label("last_failed_at"),
        )
        .where(*conditions_of(choice))
        .group_by(col(row.fingerprint), col(row.subscription))
        .subquery("part")
    )
    count = func.sum(parts.c.count)
    groups = (
        select_columns(
            parts.c.fingerprint,
            func.array_agg(parts.c.subscription.distinct()).label("subscriptions"),
            count.label("count"),
            func.sum(parts.c.open_count).label("open_count"),
            func.min(parts.c.first_failed_at).label("first_failed_at"),
            func.max(parts.c.last_failed_at).label("last_failed_at"),
            func.count().over().label("total"),
        )
        .group_by(parts.c.fingerprint)
        .order_by(count.desc(), parts.c.fingerprint)
        .limit(limit)
        .subquery("grouped")
    )
    example = (
        select(col(row.dead_letter_id).label("example_id"))
        .where(*conditions_of(choice), col(row.fingerprint) == groups.c.fingerprint)
        .order_by(*NEWEST_FIRST)
        .limit(1)
        .lateral("example")
    )
    query: Any = (
        select_columns(groups, example.c.example_id)
        .join(example, true())
        .order_by(groups.c.count.desc(), groups.c.fingerprint)
    )
    # A row has a method `count` of its own, so by name.
    found = [dict(one._mapping) for one in (await session.exec(query)).all()]
    examples = await _by_id(session, [one["example_id"] for one in found])
    facts = [
        GroupFacts(
            example=examples[one["example_id"]],
            subscriptions=one["subscriptions"],
            count=int(one["count"]),
            open_count=int(one["open_count"]),
            first_failed_at=one["first_failed_at"],
            last_failed_at=one["last_failed_at"],
        )
        for one in found
    ]
    return facts, found[0]["total"] if found else 0


async def _by_id(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, DeadLetterRow]:
    rows = (await session.exec(select(DeadLetterRow).where(*conditions_of(Choice(ids=tuple(ids)))))).all()
    return {row.dead_letter_id: row for row in rows}


async def original_of(session: AsyncSession, dead_letter_id: UUID) -> OriginalRow:
    """Headers and properties as they came."""
    row = await session.get(OriginalRow, dead_letter_id)
    assert row is not None  # noqa: S101 - stored with the dead letter
    return row


async def body_of(session: AsyncSession, dead_letter_id: UUID, version: int) -> VersionRow | None:
    """One version with its bytes."""
    query = select(VersionRow).where(
        col(VersionRow.dead_letter_id) == dead_letter_id, col(VersionRow.version) == version
    )
    return (await session.exec(query)).first()


async def failures_of(session: AsyncSession, ids: Sequence[UUID]) -> list[FailureRow]:
    query = select(FailureRow).where(col(FailureRow.dead_letter_id).in_(ids)).order_by(col(FailureRow.last_failed_at))
    return list((await session.exec(query)).all())


async def versions_of(session: AsyncSession, ids: Sequence[UUID]) -> list[Any]:
    """All versions, without their bytes."""
    row = VersionRow
    columns = (
        row.dead_letter_id, row.version, row.content_type, row.body_bytes, row.sha256, row.expires_at, row.actor,
        row.why, row.created_at,
    )  # fmt: skip
    query: Any = select_columns(*map(col, columns))
    query = query.where(col(row.dead_letter_id).in_(ids)).order_by(col(row.dead_letter_id), col(row.version))
    return list((await session.exec(query)).all())


async def replays_of(session: AsyncSession, ids: Sequence[UUID]) -> list[ReplayRow]:
    query = select(ReplayRow).where(col(ReplayRow.dead_letter_id).in_(ids)).order_by(col(ReplayRow.sent_at))
    return list((await session.exec(query)).all())


async def audit_of(session: AsyncSession, ids: Sequence[UUID]) -> list[AuditEntryRow]:
    """What was done to these dead letters, in the order of time."""
    row = AuditEntryRow
    query = select(row).where(col(row.dead_letter_id).in_(ids)).order_by(col(row.audit_entry_id))
    return list((await session.exec(query)).all())


async def session_of(session: AsyncSession, letter: DeadLetterRow, limit: int) -> list[DeadLetterRow]:
    """The dead letters of the same session on all subscriptions, the oldest failure first."""
    if letter.session_id is None:
        return [letter]
    order = (col(DeadLetterRow.first_failed_at), col(DeadLetterRow.dead_letter_id))
    query = select(DeadLetterRow).where(col(DeadLetterRow.session_id) == letter.session_id).order_by(*order)
    rows = list((await session.exec(query.limit(limit))).all())
    return rows if any(row.dead_letter_id == letter.dead_letter_id for row in rows) else [letter, *rows]


async def audit_page(
    session: AsyncSession,
    *,
    actor: str | None,
    action: str | None,
    dead_letter_id: UUID | None,
    bulk_replay_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    after: str | None,
) -> list[AuditEntryRow]:
    """Newest first, one more than `limit` when there is another page."""
    row = AuditEntryRow
    query = select(row).order_by(col(row.audit_entry_id).desc()).limit(limit + 1)
    wanted: list[tuple[Any, Any]] = [
        (row.actor, actor),
        (row.action, action),
        (row.dead_letter_id, dead_letter_id),
        (row.bulk_replay_id, bulk_replay_id),
    ]
    query = query.where(*(col(column) == value for column, value in wanted if value is not None))
    if since is not None:
        query = query.where(col(row.at) >= since)
    if until is not None:
        query = query.where(col(row.at) < until)
    if after is not None:
        query = query.where(col(row.audit_entry_id) < read_id(after))
    return list((await session.exec(query)).all())


async def bulk_page(session: AsyncSession, state: str | None, limit: int, after: str | None) -> list[BulkReplayRow]:
    """Newest first, one more than `limit` when there is another page."""
    row = BulkReplayRow
    query = select(row).order_by(col(row.bulk_replay_id).desc()).limit(limit + 1)
    if state is not None:
        query = query.where(col(row.state) == state)
    if after is not None:
        query = query.where(col(row.bulk_replay_id) < read_id(after))
    return list((await session.exec(query)).all())


async def item_page(
    session: AsyncSession, bulk_replay_id: UUID, state: str | None, limit: int, after: str | None
) -> list[BulkItemRow]:
    """In the order of the bulk replay, one more than `limit` when there is another page."""
    row = BulkItemRow
    query = select(row).where(col(row.bulk_replay_id) == bulk_replay_id).order_by(col(row.position)).limit(limit + 1)
    if state is not None:
        query = query.where(col(row.state) == state)
    if after is not None:
        query = query.where(col(row.position) > read_number(after))
    return list((await session.exec(query)).all())


def beginning_at(transaction: int) -> Position:
    """Before everything that this transaction, or a later one, changes."""
    return Position(transaction, UUID(int=0))


async def horizon_of(session: AsyncSession) -> int:
    """The oldest transaction that runs: all before it have ended."""
    query = select(raw("pg_snapshot_xmin(pg_current_snapshot())::text", Text))
    return int((await session.exec(query)).one())


async def changes_after(
    session: AsyncSession, choice: Choice, position: Position, limit: int
) -> tuple[list[tuple[DeadLetterRow, Position]], Position]:
    """What changed since, in the order of the transactions, each with its position; and the position behind them."""
    horizon = await horizon_of(session)
    changed_in: ColumnElement[Any] = raw("changed_in")
    behind = tuple_(changed_in, col(DeadLetterRow.dead_letter_id)) > tuple_(
        _xid(position.transaction), literal(position.dead_letter_id)
    )
    query: Any = (
        select_columns(DeadLetterRow, cast(changed_in, Text))
        .where(behind, changed_in < _xid(horizon), *conditions_of(choice))
        .order_by(changed_in, col(DeadLetterRow.dead_letter_id))
        .limit(limit)
    )
    found = (await session.exec(query)).all()
    changes = [(row, Position(int(transaction), row.dead_letter_id)) for row, transaction in found]
    if len(changes) == limit:
        return changes, changes[-1][1]
    return changes, max((position, beginning_at(horizon)), key=lambda one: (one.transaction, one.dead_letter_id))


def _xid(transaction: int) -> ColumnElement[Any]:
    return raw(f"'{transaction:d}'::xid8")


def number_of(letter: DeadLetterRow, wanted: str) -> int:
    """The number of the version that is called so: `original`, `current`, or the number itself."""
    match wanted:
        case "original":
            return ORIGINAL
        case "current":
            return letter.version
        case _:
            return int(wanted)


def cursor_of(row: DeadLetterRow) -> str:
    """Where the next page of the list begins."""
    return _encode(f"{row.last_failed_at.isoformat()}/{row.dead_letter_id}")


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    moment, _, dead_letter_id = _decode(cursor).partition("/")
    try:
        last_failed_at = datetime.fromisoformat(moment)
        if last_failed_at.tzinfo is None:
            raise _no_cursor()
        return last_failed_at, UUID(dead_letter_id)
    except ValueError:
        raise _no_cursor() from None


def id_cursor(identifier: object) -> str:
    """Where the next page begins of what is ordered by one value."""
    return _encode(str(identifier))


def read_id(cursor: str) -> UUID:
    """Raises Problem 422 when the cursor is none."""
    try:
        return UUID(_decode(cursor))
    except ValueError:
        raise _no_cursor() from None


def read_number(cursor: str) -> int:
    """Raises Problem 422 when the cursor is none."""
    text = _decode(cursor)
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise _no_cursor()
    return int(text)


def _encode(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise _no_cursor() from None


def _no_cursor() -> Problem:
    message = "must be `next_after` of an earlier page"
    errors = [{"field": "query.after", "message": message}]
    return Problem(422, "invalid-request", "some fields are missing or invalid", errors=errors)
