"""States as the rules get them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from dead_letters.domain.bulk import BulkReplay, begin_bulk_replay
from dead_letters.domain.dead_letter import DeadLetter, Failure, Instruction, Origin, dead_letter_id_of, decide_arrival
from dead_letters.domain.states import Form

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SAM = Instruction("sam", "the drone is free again")
SUBSCRIPTION = "package-service.delivery-requests"


def a_failure(letter: DeadLetter | None = None, **changes: Any) -> Failure:
    """A failure of the dead letter, or of one that nobody knows yet."""
    failure = Failure(
        failure_id=uuid4(),
        dead_letter_id=letter.dead_letter_id if letter else dead_letter_id_of(SUBSCRIPTION, uuid4()),
        attempt_epoch=0,
        reason="handler_failed",
        description="the drone is stuck",
        exception_type="DroneStuck",
        stack="",
        fingerprint="f1",
        attempts=5,
        is_parked=True,
        first_failed_at=NOW - timedelta(minutes=2),
        last_failed_at=NOW - timedelta(minutes=1),
        arrived_at=NOW,
    )
    return replace(failure, **changes)


def an_origin(**changes: Any) -> Origin:
    origin = Origin(service="package-service", subscription=SUBSCRIPTION, form=Form.EVENT, message_id=uuid4(),
                    session_id="session", body_bytes=2)  # fmt: skip
    return replace(origin, **changes)


def a_letter(**changes: Any) -> DeadLetter:
    """An open one, but for the changes."""
    return replace(decide_arrival(None, a_failure(), an_origin(), NOW), **changes)


def a_bulk(**changes: Any) -> BulkReplay:
    """One that has just begun, but for the changes."""
    bulk = begin_bulk_replay(
        uuid4(), SAM, selection="{}", canary=1, rate_per_s=20, max_failure_ratio=0.1, total=100, now=NOW
    )
    return replace(bulk, **changes)
