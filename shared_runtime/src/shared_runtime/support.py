"""What support staff may see of a running service: the messages of a session that wait."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict

from shared_runtime import held
from shared_runtime.callers import require_role

MAX_MESSAGES = 1_000


class WaitingMessage(BaseModel):
    """A message that waits for its next attempt, for support, or for the one before it in its session."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    position: int
    """Messages of a subscription are tried in this order."""
    subscription: str
    message_id: UUID
    type: str
    attempt_epoch: int
    """How often support had replayed the message when it came."""
    attempts: int
    first_failed_at: datetime | None
    error: str
    due_at: datetime
    is_parked: bool
    """It was dead-lettered, and the later ones of its session wait until it is replayed or discarded."""


router = APIRouter(prefix="/support", tags=["support"], dependencies=[Depends(require_role("support"))])


@router.get("/sessions/{session_id}")
async def waiting_messages(
    session_id: Annotated[str, Path(min_length=1, max_length=128, pattern=r"^[\x20-\x7e]+$")], request: Request
) -> list[WaitingMessage]:
    """What waits of one session in this service, by subscription and in order; the first thousand."""
    async with request.app.state.service.database.transaction() as connection:
        records = await held.of_session(connection, session_id, limit=MAX_MESSAGES)
    return [WaitingMessage(**record) for record in records]
