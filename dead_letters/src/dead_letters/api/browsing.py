"""Dead letters to look at: lists, groups, one with everything, its bytes, and the story of its session."""

import json
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from dead_letters import queries
from dead_letters.api.access import UNKNOWN, Support, letter_row
from dead_letters.api.answers import (
    AuditEntryView,
    DeadLetterDetail,
    DeadLetterPage,
    DeadLetterSummary,
    FailureView,
    Group,
    GroupPage,
    ReplayView,
    Story,
    VersionView,
)
from dead_letters.api.requests import BodyQuery, GroupQuery, ListQuery
from dead_letters.api.stories import tell_story
from dead_letters.domain.limits import PREVIEW_BYTES_MAX
from shared_runtime import Problem
from shared_runtime.envelope import BATCH, JSON, STRUCTURED
from shared_runtime.http import ReadSession

router = APIRouter(prefix="/api/v1/deadletters", tags=["dead letters"])

OCTETS = "application/octet-stream"
BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


@router.get("")
async def browse(query: Annotated[ListQuery, Query()], support: Support, session: ReadSession) -> DeadLetterPage:
    """Dead letters, the newest failure first."""
    rows = await queries.page_of(session, query.choice, query.limit, query.after)
    items = [DeadLetterSummary.model_validate(row) for row in rows[: query.limit]]
    next_after = queries.cursor_of(rows[query.limit - 1]) if len(rows) > query.limit else None
    return DeadLetterPage(items=items, next_after=next_after)


@router.get("/groups")
async def browse_groups(query: Annotated[GroupQuery, Query()], support: Support, session: ReadSession) -> GroupPage:
    """Dead letters of the same cause together, the largest group first."""
    groups, total = await queries.groups_of(session, query.choice, query.limit)
    items = [
        Group(
            fingerprint=group.example.fingerprint,
            reason=group.example.reason,
            exception_type=group.example.exception_type,
            description=group.example.description,
            service=group.example.service,
            subscriptions=group.subscriptions,
            count=group.count,
            open_count=group.open_count,
            first_failed_at=group.first_failed_at,
            last_failed_at=group.last_failed_at,
            example_id=group.example.dead_letter_id,
        )
        for group in groups
    ]
    return GroupPage(items=items, total=total)


@router.get("/{dead_letter_id}", responses=UNKNOWN)
async def show(dead_letter_id: UUID, support: Support, session: ReadSession) -> DeadLetterDetail:
    """Everything that is known of one dead letter."""
    row = await letter_row(session, dead_letter_id)
    original = await queries.original_of(session, dead_letter_id)
    versions = await queries.versions_of(session, [dead_letter_id])
    summary = DeadLetterSummary.model_validate(row)
    return DeadLetterDetail(
        **summary.model_dump(),
        event_source=row.event_source,
        event_time=row.event_time,
        causation_id=row.causation_id,
        content_type=versions[-1].content_type,
        body=await _preview(session, dead_letter_id, row.version) if row.body_bytes <= PREVIEW_BYTES_MAX else None,
        headers=json.loads(original.headers),
        properties=json.loads(original.properties),
        failure_list=[FailureView.model_validate(one) for one in await queries.failures_of(session, [dead_letter_id])],
        version_list=[VersionView.model_validate(one) for one in versions],
        replay_list=[ReplayView.model_validate(one) for one in await queries.replays_of(session, [dead_letter_id])],
        audit_list=[AuditEntryView.model_validate(one) for one in await queries.audit_of(session, [dead_letter_id])],
    )


@router.get("/{dead_letter_id}/story", responses=UNKNOWN)
async def story(dead_letter_id: UUID, support: Support, session: ReadSession, request: Request) -> Story:
    """What happened to the session's dead letters, and what waits in the services now."""
    row = await letter_row(session, dead_letter_id)
    return await tell_story(session, row, support, request.app.state.service.settings)


@router.get(
    "/{dead_letter_id}/body",
    response_class=Response,
    responses=UNKNOWN
    | {
        200: {
            "description": "The bytes",
            "content": dict.fromkeys((JSON, STRUCTURED, BATCH, OCTETS), BYTES),
            "headers": {"X-Body-Version": {"description": "The version's number", "schema": {"type": "integer"}}},
        }
    },
)
async def body(
    dead_letter_id: UUID, query: Annotated[BodyQuery, Query()], support: Support, session: ReadSession
) -> Response:
    """One version of the body, byte for byte."""
    row = await letter_row(session, dead_letter_id)
    found = await queries.body_of(session, dead_letter_id, queries.number_of(row, query.version))
    if found is None:
        raise Problem(404, "version-unknown", f"there is no version {query.version}")
    # Who wrote the message also wrote its content type: a browser must not take it for a page.
    kind = found.content_type.partition(";")[0].strip().lower()
    headers = {
        "X-Body-Version": str(found.version),
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
        "Cache-Control": "no-store",
    }
    return Response(found.body, media_type=kind if kind in {JSON, STRUCTURED, BATCH} else OCTETS, headers=headers)


async def _preview(session: ReadSession, dead_letter_id: UUID, version: int) -> str | None:
    found = await queries.body_of(session, dead_letter_id, version)
    try:
        return found.body.decode() if found else None
    except UnicodeDecodeError:
        return None
