"""What support asks for over HTTP."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from dead_letters.domain.choice import Choice


class ReplayDeadLetter(Struct, frozen=True):
    """Send it to its subscription again."""

    dead_letter_id: UUID
    actor: str
    why: str


class DiscardDeadLetter(Struct, frozen=True):
    """It is not wanted any more."""

    dead_letter_id: UUID
    actor: str
    why: str


class DiscardMany(Struct, frozen=True):
    """They are not wanted any more. Those that are not open are left alone."""

    dead_letter_ids: tuple[UUID, ...]
    """That exist."""
    actor: str
    why: str


class RestoreDeadLetter(Struct, frozen=True):
    """Take a discard back."""

    dead_letter_id: UUID
    actor: str
    why: str


class ReopenDeadLetter(Struct, frozen=True):
    """Wait no longer for the answer to its replay."""

    dead_letter_id: UUID
    actor: str
    why: str


class EditDeadLetter(Struct, frozen=True):
    """Mend it. What is None stays as it is, and so does `expires_at` unless `is_expiry_set`."""

    dead_letter_id: UUID
    actor: str
    why: str
    if_version: int
    body: bytes | None
    content_type: str | None
    expires_at: datetime | None
    is_expiry_set: bool


class StartBulkReplay(Struct, frozen=True):
    """Replay what the choice finds."""

    bulk_replay_id: UUID
    choice: Choice
    actor: str
    why: str
    canary: int
    rate_per_s: float
    max_failure_ratio: float


class Wish(StrEnum):
    """What somebody wants of a bulk replay."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


class SteerBulkReplay(Struct, frozen=True):
    """Pause it, let it go on, or end it."""

    bulk_replay_id: UUID
    wish: Wish
    actor: str
    why: str
