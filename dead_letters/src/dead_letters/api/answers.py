"""What support gets."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dead_letters.domain.states import BulkState, Form, ItemState, ReplayState, State


class Told(BaseModel):
    """What support gets: made of other models, of a row, or of a state."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class DeadLetterSummary(Told):
    """One line of the list. The failure that it tells is the last one."""

    dead_letter_id: UUID
    state: State
    service: str
    subscription: str
    form: Form
    message_id: UUID | None
    message_type: str | None
    session_id: str | None
    correlation_id: str | None
    reason: str
    description: str
    exception_type: str
    fingerprint: str
    attempts: int
    """How often the message was tried, all failures together."""
    failures: int
    """How often it became a dead letter."""
    attempt_epoch: int
    """How often it was replayed."""
    unanswered: int
    """Events of the last replay that the subscription has not answered."""
    is_parked: bool
    """Whether later messages of its session wait behind it."""
    version: int
    """Of the body: 0 is the original one."""
    body_bytes: int
    expires_at: datetime | None
    first_failed_at: datetime
    last_failed_at: datetime
    changed_at: datetime


class DeadLetterPage(Told):
    """Newest failure first."""

    items: list[DeadLetterSummary]
    next_after: str | None
    """For the next page; null on the last one."""


class Group(Told):
    """Dead letters with the same fingerprint, among those that the filter chooses."""

    fingerprint: str
    reason: str
    exception_type: str
    description: str
    """Of the example."""
    service: str
    subscriptions: list[str]
    count: int
    open_count: int
    first_failed_at: datetime
    last_failed_at: datetime
    example_id: UUID
    """The one that failed last."""


class GroupPage(Told):
    """The largest first."""

    items: list[Group]
    total: int
    """All groups, also those that are not shown."""


class FailureView(Told):
    """One time that the message became a dead letter."""

    failure_id: UUID
    attempt_epoch: int
    reason: str
    description: str
    exception_type: str
    stack: str
    fingerprint: str
    attempts: int
    is_parked: bool
    first_failed_at: datetime
    last_failed_at: datetime
    arrived_at: datetime


class VersionView(Told):
    """One version of the body, without the body."""

    version: int
    content_type: str
    body_bytes: int
    sha256: str
    expires_at: datetime | None
    actor: str | None
    """Who made it; null for the original one."""
    why: str | None
    created_at: datetime


class ReplayView(Told):
    """One event that was sent to its subscription again."""

    message_id: UUID
    attempt_epoch: int
    subscription: str
    queue: str
    version: int
    state: ReplayState
    actor: str
    why: str
    bulk_replay_id: UUID | None
    sent_at: datetime
    answered_at: datetime | None


class AuditEntryView(Told):
    """Who did what, when, why; and how it was before and after."""

    audit_entry_id: UUID
    at: datetime
    actor: str
    action: str
    dead_letter_id: UUID | None
    bulk_replay_id: UUID | None
    why: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(Told):
    """Newest first."""

    items: list[AuditEntryView]
    next_after: str | None


class DeadLetterDetail(DeadLetterSummary):
    """Everything that is known of one."""

    event_source: str | None
    event_time: datetime | None
    causation_id: str | None
    content_type: str
    body: str | None
    """The current body when it is a text of up to 64 KiB. `/body` has every version of any size."""
    headers: dict[str, Any]
    """As they came. What JSON does not have is an object, such as {"$bytes": base64} and {"$timestamp": ...}."""
    properties: dict[str, Any]
    failure_list: list[FailureView]
    version_list: list[VersionView]
    replay_list: list[ReplayView]
    audit_list: list[AuditEntryView]


class StoryKind(StrEnum):
    """What happened."""

    FAILED = "failed"
    EDITED = "edited"
    REPLAYED = "replayed"
    HANDLED = "handled"
    FAILED_AGAIN = "failed_again"
    DID = "did"
    """Somebody did something that is none of the above: discarded, restored."""


class StoryEvent(Told):
    """One thing that happened to a dead letter of the session."""

    at: datetime
    kind: StoryKind
    dead_letter_id: UUID
    subscription: str
    message_type: str | None
    actor: str | None
    text: str


class WaitingMessage(Told):
    """A message that waits in a service: for its next attempt, parked, or behind such a one."""

    service: str
    subscription: str
    position: int
    message_id: UUID
    message_type: str
    attempts: int
    error: str
    is_parked: bool
    due_at: datetime | None


class SilentService(Told):
    """A service that did not tell what waits in it."""

    service: str
    error: str


class Story(Told):
    """What happened in a session, and what waits in it now."""

    session_id: str | None
    dead_letters: list[DeadLetterSummary]
    events: list[StoryEvent]
    """In the order of time."""
    waiting: list[WaitingMessage]
    silent_services: list[SilentService]


class Verdict(Told):
    """What the contract of the message has against a body."""

    violations: list[str]
    """Where and why, none when the subscription would read it, or when nobody knows the contract."""


class DiscardOutcome(Told):
    """What a bulk discard did. `selected` alone counts when it was a dry run."""

    selected: int
    discarded: int
    left_alone: int
    """Not open any more when their turn came."""
    dry_run: bool


class DryRun(Told):
    """What a bulk replay would do."""

    selected: int
    undecodable: int
    """Of them: no event as they are, which would be skipped unless they were mended."""
    dry_run: bool = True


def _read_facts(facts: Any) -> Any:
    # A row has them read already, a state as they are written.
    return json.loads(facts) if isinstance(facts, str) else facts


class BulkReplayView(Told):
    """A bulk replay and how far it is."""

    bulk_replay_id: UUID
    state: BulkState
    actor: str
    why: str
    selection: Annotated[dict[str, Any], BeforeValidator(_read_facts)]
    canary: int
    rate_per_s: float
    max_failure_ratio: float
    total: int
    waiting: int
    sent: int
    """Not answered yet."""
    handled: int
    failed: int
    skipped: int
    stop_reason: str | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None


class BulkReplayPage(Told):
    """Newest first."""

    items: list[BulkReplayView]
    next_after: str | None


class ItemView(Told):
    """One dead letter of a bulk replay."""

    dead_letter_id: UUID
    state: ItemState
    note: str | None
    """Why it failed or was skipped."""


class ItemPage(Told):
    """In the order in which they are replayed."""

    items: list[ItemView]
    next_after: str | None
