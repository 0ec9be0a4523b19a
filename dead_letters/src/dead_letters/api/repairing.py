"""What support does: mend, replay, discard, restore; one or many."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlmodel import col

from dead_letters import queries
from dead_letters.api.access import CONFLICT, NOT_SELECTABLE, UNKNOWN, UNKNOWN_BULK, Support, letter_row
from dead_letters.api.answers import BulkReplayView, DeadLetterSummary, DiscardOutcome, DryRun, Verdict
from dead_letters.api.requests import BulkDiscard, BulkReplayRequest, Draft, Edit, Reason
from dead_letters.commands import (
    DiscardDeadLetter,
    DiscardMany,
    EditDeadLetter,
    ReopenDeadLetter,
    ReplayDeadLetter,
    RestoreDeadLetter,
    StartBulkReplay,
    SteerBulkReplay,
    Wish,
)
from dead_letters.consumers import require_selection
from dead_letters.domain.bulk import BulkReplay
from dead_letters.domain.limits import DISCARDS_MAX, SELECTION_MAX
from dead_letters.domain.states import Form
from dead_letters.origins import violations_of
from dead_letters.tables import DeadLetterRow
from shared_runtime.envelope import new_id
from shared_runtime.http import ReadSession, execute, json_body

router = APIRouter(prefix="/api/v1", tags=["repairs"])

DISCARDS_AT_ONCE = 500
"""In one transaction."""
BULK_REPLAYS = "/api/v1/bulkreplays"


@router.put("/deadletters/{dead_letter_id}/body", responses=UNKNOWN | CONFLICT)
async def edit(
    dead_letter_id: UUID, support: Support, body: Annotated[Edit, json_body(Edit)], request: Request
) -> DeadLetterSummary:
    """Mend a copy of the body, or when the event expires. Who the message is stays, and all versions are kept."""
    command = EditDeadLetter(
        dead_letter_id=dead_letter_id,
        actor=support,
        why=body.why,
        if_version=body.if_version,
        body=body.body_base64 if body.body is None else body.body.encode(),
        content_type=body.content_type,
        expires_at=body.expires_at,
        is_expiry_set="expires_at" in body.model_fields_set,
    )
    return DeadLetterSummary.model_validate(await execute(request, command))


@router.post("/deadletters/{dead_letter_id}/body/check", responses=UNKNOWN)
async def check(
    dead_letter_id: UUID, support: Support, body: Annotated[Draft, json_body(Draft)], session: ReadSession
) -> Verdict:
    """What the contract of the message has against a body, before it is edited. Nothing is changed."""
    row = await letter_row(session, dead_letter_id)
    is_event = row.form == Form.EVENT
    return Verdict(violations=violations_of(row.subscription, row.message_type, body.content) if is_event else [])


@router.post("/deadletters/{dead_letter_id}/replay", responses=UNKNOWN | CONFLICT)
async def replay(
    dead_letter_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> DeadLetterSummary:
    """Send it to the subscription that it came from, and to no other; not again before that has failed."""
    return DeadLetterSummary.model_validate(await execute(request, ReplayDeadLetter(dead_letter_id, support, body.why)))


@router.post("/deadletters/{dead_letter_id}/discard", responses=UNKNOWN | CONFLICT)
async def discard(
    dead_letter_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> DeadLetterSummary:
    """It is not wanted any more; its session goes on without it."""
    return DeadLetterSummary.model_validate(
        await execute(request, DiscardDeadLetter(dead_letter_id, support, body.why))
    )


@router.post("/deadletters/{dead_letter_id}/restore", responses=UNKNOWN | CONFLICT)
async def restore(
    dead_letter_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> DeadLetterSummary:
    """Take a discard back. Its session has gone on meanwhile."""
    return DeadLetterSummary.model_validate(
        await execute(request, RestoreDeadLetter(dead_letter_id, support, body.why))
    )


@router.post("/deadletters/{dead_letter_id}/reopen", responses=UNKNOWN | CONFLICT)
async def reopen(
    dead_letter_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> DeadLetterSummary:
    """Wait no longer for the answer to its replay, from half an hour on. It is open then: to be discarded, or to be
    replayed in the same epoch again, of which the subscription lets in only one.
    """
    return DeadLetterSummary.model_validate(await execute(request, ReopenDeadLetter(dead_letter_id, support, body.why)))


@router.post("/discards", responses=NOT_SELECTABLE)
async def discard_many(
    support: Support, body: Annotated[BulkDiscard, json_body(BulkDiscard)], request: Request, session: ReadSession
) -> DiscardOutcome:
    """Discard up to 10,000; those that are not open are left alone. What is not done when it breaks off, can be done
    by the same request again.
    """
    count = await queries.count_of(session, body.choice)
    require_selection(count, DISCARDS_MAX)
    if body.dry_run:
        return DiscardOutcome(selected=count, discarded=0, left_alone=0, dry_run=True)
    ids = await queries.ids_of(session, body.choice, DISCARDS_MAX)
    await session.close()
    discarded = 0
    for begin in range(0, len(ids), DISCARDS_AT_ONCE):
        some = tuple(ids[begin : begin + DISCARDS_AT_ONCE])
        discarded += await execute(request, DiscardMany(some, support, body.why))
    return DiscardOutcome(selected=len(ids), discarded=discarded, left_alone=len(ids) - discarded, dry_run=False)


@router.post(
    "/bulkreplays",
    status_code=201,
    responses=NOT_SELECTABLE
    | {
        200: {"model": DryRun, "description": "It was a dry run"},
        201: {
            "model": BulkReplayView,
            "description": "It has begun",
            "headers": {"Location": {"description": "Where it is told how far it is", "schema": {"type": "string"}}},
        },
    },
    response_model=BulkReplayView | DryRun,
)
async def start(
    support: Support,
    body: Annotated[BulkReplayRequest, json_body(BulkReplayRequest)],
    request: Request,
    response: Response,
    session: ReadSession,
) -> BulkReplayView | DryRun:
    """Replay what is selected now: the canaries first, then at a steady rate, until too much fails."""
    if body.dry_run:
        count = await queries.count_of(session, body.choice)
        require_selection(count, SELECTION_MAX)
        undecodable = col(DeadLetterRow.form) == Form.UNDECODABLE.value
        response.status_code = 200
        return DryRun(selected=count, undecodable=await queries.count_of(session, body.choice, undecodable))
    command = StartBulkReplay(
        bulk_replay_id=new_id(),
        choice=body.choice,
        actor=support,
        why=body.why,
        canary=body.canary,
        rate_per_s=body.rate_per_s,
        max_failure_ratio=body.max_failure_ratio,
    )
    bulk: BulkReplay = await execute(request, command)
    response.headers["Location"] = f"{BULK_REPLAYS}/{bulk.bulk_replay_id}"
    return BulkReplayView.model_validate(bulk)


@router.post("/bulkreplays/{bulk_replay_id}/pause", responses=UNKNOWN_BULK | CONFLICT)
async def pause(
    bulk_replay_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> BulkReplayView:
    """Replay nothing more for the moment."""
    return await _steer(SteerBulkReplay(bulk_replay_id, Wish.PAUSE, support, body.why), request)


@router.post("/bulkreplays/{bulk_replay_id}/resume", responses=UNKNOWN_BULK | CONFLICT)
async def resume(
    bulk_replay_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> BulkReplayView:
    """Go on. After it has stopped itself, the canaries come first again."""
    return await _steer(SteerBulkReplay(bulk_replay_id, Wish.RESUME, support, body.why), request)


@router.post("/bulkreplays/{bulk_replay_id}/cancel", responses=UNKNOWN_BULK | CONFLICT)
async def cancel(
    bulk_replay_id: UUID, support: Support, body: Annotated[Reason, json_body(Reason)], request: Request
) -> BulkReplayView:
    """Replay nothing more for ever."""
    return await _steer(SteerBulkReplay(bulk_replay_id, Wish.CANCEL, support, body.why), request)


async def _steer(command: SteerBulkReplay, request: Request) -> BulkReplayView:
    return BulkReplayView.model_validate(await execute(request, command))
