"""Who did what to a dead letter or a bulk replay. Nothing personal: bodies are named by version, not shown."""

import json
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from dead_letters.domain.bulk import BulkReplay
from dead_letters.domain.dead_letter import DeadLetter


class Action(StrEnum):
    """What somebody did."""

    REPLAY = "replay"
    DISCARD = "discard"
    RESTORE = "restore"
    REOPEN = "reopen"
    EDIT = "edit"
    BULK_START = "bulk-start"
    BULK_PAUSE = "bulk-pause"
    BULK_RESUME = "bulk-resume"
    BULK_CANCEL = "bulk-cancel"
    BULK_STOP = "bulk-stop"
    """It stopped itself."""
    BULK_FINISH = "bulk-finish"


class AuditEntry(Struct, frozen=True):
    """One action. Entries are added, and never changed."""

    audit_entry_id: UUID
    at: datetime
    actor: str
    action: Action
    dead_letter_id: UUID | None
    bulk_replay_id: UUID | None
    why: str
    before: str | None
    """JSON."""
    after: str | None


def facts_of(known: DeadLetter | BulkReplay | None) -> str | None:
    """What an action may change, as JSON."""
    if known is None:
        return None
    if isinstance(known, DeadLetter):
        return json.dumps(
            {
                "state": known.state,
                "version": known.version,
                "body_bytes": known.body_bytes,
                "expires_at": known.expires_at.isoformat() if known.expires_at else None,
                "attempt_epoch": known.attempt_epoch,
                "is_parked": known.is_parked,
            }
        )
    return json.dumps(
        {
            "state": known.state,
            "waiting": known.waiting,
            "sent": known.sent,
            "handled": known.handled,
            "failed": known.failed,
            "skipped": known.skipped,
            "stop_reason": known.stop_reason,
        }
    )
