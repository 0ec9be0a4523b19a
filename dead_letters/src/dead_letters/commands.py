"""What support asks for over HTTP."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from dead_letters.domain.choice import Choice


@dataclass(frozen=True)
class ReplayDeadLetter:
    """Send it to its subscription again."""

    dead_letter_id: UUID
    actor: str
    why: str


@dataclass(frozen=True)
class DiscardDeadLetter:
    """It is not wanted any more."""

    dead_letter_id: UUID
    actor: str
    why: str


@dataclass(frozen=True)
class DiscardMany:
    """They are not wanted any more. Those that are not open are left alone."""

    dead_letter_ids: tuple[UUID, ...]
    """That exist."""
    actor: str
    why: str


@dataclass(frozen=True)
class RestoreDeadLetter:
    """Take a discard back."""

    dead_letter_id: UUID
    actor: str
    why: str


@dataclass(frozen=True)
class ReopenDeadLetter:
    """Wait no longer for the answer to its replay."""

    dead_letter_id: UUID
    actor: str
    why: str


@dataclass(frozen=True)
class EditDeadLetter:
    """Mend it. What is None stays as it is, and so does `expires_at` unless `is_expiry_set`."""

    dead_letter_id: UUID
    actor: str
    why: str
    if_version: int
    body: bytes | None
    content_type: str | None
    expires_at: datetime | None
    is_expiry_set: bool


@dataclass(frozen=True)
class StartBulkReplay:
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


@dataclass(frozen=True)
class SteerBulkReplay:
    """Pause it, let it go on, or end it."""

    bulk_replay_id: UUID
    wish: Wish
    actor: str
    why: str
