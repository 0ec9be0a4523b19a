"""How far bulk replays are, and who did what."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from dead_letters import queries
from dead_letters.api.access import UNKNOWN_BULK, Support
from dead_letters.api.answers import AuditEntryView, AuditPage, BulkReplayPage, BulkReplayView, ItemPage, ItemView
from dead_letters.api.requests import AuditQuery, BulkQuery, ItemQuery
from dead_letters.recording import unknown_bulk_replay
from dead_letters.tables import BulkReplayRow
from shared_runtime.http import ReadSession

router = APIRouter(prefix="/api/v1", tags=["records"])


@router.get("/bulkreplays")
async def browse(query: Annotated[BulkQuery, Query()], support: Support, session: ReadSession) -> BulkReplayPage:
    """Bulk replays, newest first."""
    rows = await queries.bulk_page(session, query.state, query.limit, query.after)
    items = [BulkReplayView.model_validate(row) for row in rows[: query.limit]]
    next_after = queries.id_cursor(items[-1].bulk_replay_id) if len(rows) > query.limit else None
    return BulkReplayPage(items=items, next_after=next_after)


@router.get("/bulkreplays/{bulk_replay_id}", responses=UNKNOWN_BULK)
async def show(bulk_replay_id: UUID, support: Support, session: ReadSession) -> BulkReplayView:
    """One bulk replay, and how far it is."""
    return BulkReplayView.model_validate(await _known(bulk_replay_id, session))


@router.get("/bulkreplays/{bulk_replay_id}/items", responses=UNKNOWN_BULK)
async def items(
    bulk_replay_id: UUID, query: Annotated[ItemQuery, Query()], support: Support, session: ReadSession
) -> ItemPage:
    """The dead letters of a bulk replay in its order, and what became of each."""
    await _known(bulk_replay_id, session)
    rows = await queries.item_page(session, bulk_replay_id, query.state, query.limit, query.after)
    next_after = queries.id_cursor(rows[query.limit - 1].position) if len(rows) > query.limit else None
    return ItemPage(items=[ItemView.model_validate(row) for row in rows[: query.limit]], next_after=next_after)


@router.get("/audit")
async def audit(query: Annotated[AuditQuery, Query()], support: Support, session: ReadSession) -> AuditPage:
    """Who did what, newest first."""
    rows = await queries.audit_page(session, **query.model_dump())
    entries = [AuditEntryView.model_validate(row) for row in rows[: query.limit]]
    next_after = queries.id_cursor(entries[-1].audit_entry_id) if len(rows) > query.limit else None
    return AuditPage(items=entries, next_after=next_after)


async def _known(bulk_replay_id: UUID, session: ReadSession) -> BulkReplayRow:
    row = await session.get(BulkReplayRow, bulk_replay_id)
    if row is None:
        raise unknown_bulk_replay(bulk_replay_id)
    return row
