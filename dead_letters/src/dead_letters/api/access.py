"""Who may call, and what is refused everywhere alike."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends

from dead_letters.recording import unknown_dead_letter
from dead_letters.tables import DeadLetterRow
from shared_runtime.http import ReadSession, require_role

Support = Annotated[str, Depends(require_role("support"))]
"""The caller, who has the role `support`."""

Documented = dict[int | str, dict[str, Any]]
UNKNOWN: Documented = {404: {"description": "There is no such dead letter"}}
UNKNOWN_BULK: Documented = {404: {"description": "There is no such bulk replay"}}
CONFLICT: Documented = {409: {"description": "It is not in a state in which this can be done"}}
NOT_SELECTABLE: Documented = {422: {"description": "Nothing is selected, or too much"}}


async def letter_row(session: ReadSession, dead_letter_id: UUID) -> DeadLetterRow:
    """The dead letter. Raises Problem 404."""
    row = await session.get(DeadLetterRow, dead_letter_id)
    if row is None:
        raise unknown_dead_letter(dead_letter_id)
    return row
