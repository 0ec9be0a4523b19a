"""What the interface answers, made by its own models, so that these examples cannot differ from it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dead_letters.api.answers import (
    AuditEntryView,
    BulkReplayView,
    DeadLetterDetail,
    DeadLetterSummary,
    FailureView,
    Group,
    ReplayView,
    SilentService,
    Story,
    StoryEvent,
    StoryKind,
    VersionView,
    WaitingMessage,
)
from dead_letters.domain.states import BulkState, Form, ReplayState, State

A, B, C = (UUID(int=number) for number in (0xA, 0xB, 0xC))
BULK = UUID(int=0xBB)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINGERPRINT = "0123456789abcdef"
Json = dict[str, Any]


def told(model: Any) -> Json:
    document: Json = model.model_dump(mode="json")
    return document


def a_letter(dead_letter_id: UUID = A, **facts: Any) -> Json:
    """A dead letter as the list shows it."""
    known: Json = {
        "dead_letter_id": dead_letter_id,
        "state": State.OPEN,
        "service": "drone-scheduler",
        "subscription": "drone-scheduler.delivery-requests",
        "form": Form.EVENT,
        "message_id": UUID(int=1),
        "message_type": "example.drones.ingestion.DeliveryRequested.v1",
        "session_id": "session-1",
        "correlation_id": "flow-1",
        "reason": "handler_failed",
        "description": "the drone is stuck",
        "exception_type": "DroneStuck",
        "fingerprint": FINGERPRINT,
        "attempts": 5,
        "failures": 1,
        "attempt_epoch": 0,
        "unanswered": 0,
        "is_parked": True,
        "version": 0,
        "body_bytes": 20,
        "expires_at": None,
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "changed_at": NOON,
    }
    return told(DeadLetterSummary(**(known | facts)))


def a_failure(**facts: Any) -> FailureView:
    known: Json = {
        "failure_id": UUID(int=2),
        "attempt_epoch": 0,
        "reason": "handler_failed",
        "description": "the drone is stuck",
        "exception_type": "DroneStuck",
        "stack": "Traceback (most recent call last):\n  somewhere\nDroneStuck: the drone is stuck",
        "fingerprint": FINGERPRINT,
        "attempts": 5,
        "is_parked": True,
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "arrived_at": NOON,
    }
    return FailureView(**(known | facts))


def an_audit_entry(**facts: Any) -> AuditEntryView:
    known: Json = {
        "audit_entry_id": UUID(int=3),
        "at": NOON,
        "actor": "sam",
        "action": "edit",
        "dead_letter_id": A,
        "bulk_replay_id": None,
        "why": "the weight was wrong",
        "before": {"version": 0, "state": "open"},
        "after": {"version": 1, "state": "open"},
    }
    return AuditEntryView(**(known | facts))


def a_detail(**facts: Any) -> Json:
    """Everything about one."""
    known: Json = {
        "event_source": "/ingestion",
        "event_time": NOON,
        "causation_id": None,
        "content_type": "application/json",
        "body": '{"weight_kg":1.5}',
        "headers": {"cloudEvents_id": "1"},
        "properties": {},
        "failure_list": [a_failure(), a_failure(attempt_epoch=1)],
        "version_list": [a_version(0), a_version(1)],
        "replay_list": [
            ReplayView(
                message_id=UUID(int=1),
                attempt_epoch=1,
                subscription="drone-scheduler.delivery-requests",
                queue="drone-scheduler.delivery-requests.3",
                version=1,
                state=ReplayState.FAILED,
                actor="sam",
                why="mended",
                bulk_replay_id=None,
                sent_at=NOON,
                answered_at=NOON,
            )
        ],
        "audit_list": [an_audit_entry()],
    }
    return told(DeadLetterDetail(**(a_letter() | known | facts)))


def a_version(number: int) -> VersionView:
    return VersionView(
        version=number,
        content_type="application/json",
        body_bytes=20,
        sha256="00",
        expires_at=None,
        actor="sam" if number else None,
        why="the weight was wrong" if number else None,
        created_at=NOON,
    )


def a_group(**facts: Any) -> Json:
    known: Json = {
        "fingerprint": FINGERPRINT,
        "reason": "handler_failed",
        "exception_type": "DroneStuck",
        "description": "the drone is stuck",
        "service": "drone-scheduler",
        "subscriptions": ["drone-scheduler.delivery-requests"],
        "count": 7,
        "open_count": 5,
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "example_id": A,
    }
    return told(Group(**(known | facts)))


def a_waiting_message(**facts: Any) -> WaitingMessage:
    known: Json = {
        "service": "drone-scheduler",
        "subscription": "drone-scheduler.delivery-requests",
        "position": 1,
        "message_id": UUID(int=1),
        "message_type": "example.drones.ingestion.DeliveryRequested.v1",
        "attempts": 5,
        "error": "the drone is stuck",
        "is_parked": True,
        "due_at": NOON + timedelta(hours=1),
    }
    return WaitingMessage(**(known | facts))


def a_story(*followers: WaitingMessage) -> Json:
    """A session that waits behind its head, and a service that says nothing."""
    event = StoryEvent(
        at=NOON,
        kind=StoryKind.FAILED_AGAIN,
        dead_letter_id=A,
        subscription="drone-scheduler.delivery-requests",
        message_type=None,
        actor=None,
        text="handler_failed after 5 attempts: the drone is stuck",
    )
    waiting = [a_waiting_message(), *followers]
    silent = SilentService(service="delivery", error="connection refused")
    letters = [DeadLetterSummary(**a_letter())]
    return told(
        Story(session_id="session-1", dead_letters=letters, events=[event], waiting=waiting, silent_services=[silent])
    )


def a_bulk(**facts: Any) -> Json:
    """A bulk replay in the middle."""
    known: Json = {
        "bulk_replay_id": BULK,
        "state": BulkState.RUNNING,
        "actor": "sam",
        "why": "mended",
        "selection": {"fingerprint": FINGERPRINT},
        "canary": 1,
        "rate_per_s": 20.0,
        "max_failure_ratio": 0.1,
        "total": 7,
        "waiting": 4,
        "sent": 2,
        "handled": 1,
        "failed": 0,
        "skipped": 0,
        "stop_reason": None,
        "created_at": NOON,
        "changed_at": NOON,
        "finished_at": None,
    }
    return told(BulkReplayView(**(known | facts)))


def a_finished_bulk(**facts: Any) -> Json:
    return a_bulk(**({"state": BulkState.FINISHED, "waiting": 0, "sent": 0, "handled": 7, "finished_at": NOON} | facts))
