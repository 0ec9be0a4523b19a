"""What may be done with one dead letter, and what an arrival or an answer makes of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID, uuid5

from msgspec import Struct

from dead_letters.domain.limits import ANSWER_EXPECTED_S
from dead_letters.domain.states import Form, ReplayState, State

if TYPE_CHECKING:
    # mypy checks names and types of the changes, which msgspec's own signature leaves open.
    from dataclasses import replace as replace
else:
    from msgspec.structs import replace

NAMESPACE = UUID("8d1c2b0e-6a53-5f0b-9a6b-2f1f9d6f3c55")
"""Of the identifiers that are made from names here. It must never change: they are how arrivals are recognized."""
ATTEMPT_EPOCH_MAX = 2**31 - 1
"""What an event can say, and the database can hold."""
ORIGINAL = 0
"""The version of the body as it came."""


class Objection(StrEnum):
    """Why something cannot be done."""

    NOT_OPEN = "dead-letter-not-open"
    NOT_DISCARDED = "dead-letter-not-discarded"
    NOT_REPLAYING = "dead-letter-not-replaying"
    ANSWER_EXPECTED = "answer-expected"
    REPLAY_UNANSWERED = "replay-unanswered"
    TOO_MANY_REPLAYS = "too-many-replays"
    SUBSCRIPTION_UNKNOWN = "subscription-unknown"
    VERSION_CONFLICT = "version-conflict"
    STILL_UNDECODABLE = "still-undecodable"


class Refused(Exception):
    """The dead letter is not in a state in which this may be done."""

    def __init__(self, objection: Objection, description: str, **facts: Any) -> None:
        super().__init__(description)
        self.objection = objection
        self.facts = facts


class DeadLetter(Struct, frozen=True):
    """One message on one subscription, and its last failure. The bytes are kept elsewhere."""

    dead_letter_id: UUID
    state: State
    service: str
    subscription: str
    form: Form
    message_id: UUID | None
    message_type: str | None
    session_id: str | None
    correlation_id: str | None
    causation_id: str | None
    event_source: str | None
    event_time: datetime | None
    expires_at: datetime | None
    reason: str
    description: str
    exception_type: str
    fingerprint: str
    attempts: int
    """How often it was tried, all failures together."""
    failures: int
    """How often it became a dead letter."""
    attempt_epoch: int
    """The last replay that was sent, 0 before the first."""
    unanswered: int
    """Events of the last replay that the subscription has not answered, also after nobody waits for that any more."""
    is_parked: bool
    """Whether later messages of its session wait behind it."""
    version: int
    body_bytes: int
    first_failed_at: datetime
    last_failed_at: datetime
    changed_at: datetime


class Failure(Struct, frozen=True):
    """One time that a message became a dead letter."""

    failure_id: UUID
    dead_letter_id: UUID
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


class Origin(Struct, frozen=True):
    """What is known of the message itself when it arrives."""

    service: str
    subscription: str
    form: Form
    message_id: UUID | None = None
    message_type: str | None = None
    session_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    event_source: str | None = None
    event_time: datetime | None = None
    expires_at: datetime | None = None
    body_bytes: int = 0


class Version(Struct, frozen=True):
    """One version of the body. The original one has neither actor nor why."""

    version_id: UUID
    dead_letter_id: UUID
    version: int
    body: bytes
    body_bytes: int
    sha256: str
    content_type: str
    expires_at: datetime | None
    actor: str | None
    why: str | None
    created_at: datetime


class Replay(Struct, frozen=True):
    """One event that was sent to its subscription again."""

    replay_id: UUID
    dead_letter_id: UUID
    message_id: UUID
    attempt_epoch: int
    subscription: str
    queue: str
    version: int
    state: ReplayState
    actor: str
    why: str
    bulk_item_id: UUID | None
    bulk_replay_id: UUID | None
    sent_at: datetime
    answered_at: datetime | None


class Destination(Struct, frozen=True):
    """An event of a dead letter, the queue that it came from, and the attempt epoch it is sent in."""

    message_id: UUID
    queue: str
    attempt_epoch: int
    is_known: bool = False
    """Whether it has a dead letter or a replay elsewhere: it is not sent a second time."""


class Instruction(Struct, frozen=True):
    """Who wants something, why, and as part of which bulk replay."""

    actor: str
    why: str
    bulk_item_id: UUID | None = None
    bulk_replay_id: UUID | None = None


def dead_letter_id_of(subscription: str, message_id: UUID) -> UUID:
    """The same for every failure of a message on a subscription."""
    return uuid5(NAMESPACE, f"{subscription}/{message_id}")


def replay_id_of(subscription: str, message_id: UUID, attempt_epoch: int) -> UUID:
    """What an answer names: a message, on a subscription, in one of its replays."""
    return uuid5(NAMESPACE, f"{subscription}/{message_id}/{attempt_epoch}")


def version_id_of(dead_letter_id: UUID, version: int) -> UUID:
    return uuid5(dead_letter_id, str(version))


def decide_arrival(known: DeadLetter | None, failure: Failure, origin: Origin, now: datetime) -> DeadLetter:
    """What a failure makes of its dead letter. Whoever calls has made sure that it is not the same failure again."""
    if known is None:
        return _first(failure, origin, now)
    counted = replace(
        known,
        attempts=known.attempts + failure.attempts,
        failures=known.failures + 1,
        first_failed_at=min(known.first_failed_at, failure.first_failed_at),
        changed_at=now,
    )
    if not _is_news(known, failure):
        return counted
    return replace(
        counted,
        state=State.OPEN,
        reason=failure.reason,
        description=failure.description,
        exception_type=failure.exception_type,
        fingerprint=failure.fingerprint,
        attempt_epoch=failure.attempt_epoch,
        unanswered=0,
        is_parked=failure.is_parked,
        last_failed_at=failure.last_failed_at,
    )


def _is_news(known: DeadLetter, failure: Failure) -> bool:
    """Whether the failure is of the replay that is under way, or of a later one.

    What was handled or discarded stays so, however late an old failure arrives.
    """
    if failure.attempt_epoch == known.attempt_epoch:
        return known.state in {State.OPEN, State.REPLAYING} or known.unanswered > 0
    return failure.attempt_epoch > known.attempt_epoch


def _first(failure: Failure, origin: Origin, now: datetime) -> DeadLetter:
    return DeadLetter(
        dead_letter_id=failure.dead_letter_id,
        state=State.OPEN,
        service=origin.service,
        subscription=origin.subscription,
        form=origin.form,
        message_id=origin.message_id,
        message_type=origin.message_type,
        session_id=origin.session_id,
        correlation_id=origin.correlation_id,
        causation_id=origin.causation_id,
        event_source=origin.event_source,
        event_time=origin.event_time,
        expires_at=origin.expires_at,
        reason=failure.reason,
        description=failure.description,
        exception_type=failure.exception_type,
        fingerprint=failure.fingerprint,
        attempts=failure.attempts,
        failures=1,
        attempt_epoch=failure.attempt_epoch,
        unanswered=0,
        is_parked=failure.is_parked,
        version=ORIGINAL,
        body_bytes=origin.body_bytes,
        first_failed_at=failure.first_failed_at,
        last_failed_at=failure.last_failed_at,
        changed_at=now,
    )


def epoch_of_replay(known: DeadLetter, event_epoch: int = 0) -> int:
    """The attempt epoch in which an event of the dead letter is sent.

    What was sent and not answered has its epoch again: the subscription lets in only one of the two.
    """
    before = known.attempt_epoch - (known.unanswered > 0)
    return max(before, event_epoch) + 1


def decide_replay(
    known: DeadLetter, destinations: Sequence[Destination], instruction: Instruction, now: datetime
) -> tuple[DeadLetter, list[Replay]]:
    """Send the events of the dead letter, each to the queue it came from.

    Raises Refused unless the dead letter is open, and its body is read as events whose replays can be counted.
    """
    require_open(known)
    if not destinations:
        raise Refused(Objection.STILL_UNDECODABLE, "the body is no event: mend it first")
    if any(one.attempt_epoch > ATTEMPT_EPOCH_MAX for one in destinations):
        raise Refused(Objection.TOO_MANY_REPLAYS, "the message says that it was replayed as often as can be counted")
    replays = [_replay(known, one, instruction, now) for one in destinations if not one.is_known]
    state = State.REPLAYING if replays else State.RESOLVED
    epoch = epoch_of_replay(known)
    return replace(known, state=state, attempt_epoch=epoch, unanswered=len(replays), changed_at=now), replays


def _replay(known: DeadLetter, destination: Destination, instruction: Instruction, now: datetime) -> Replay:
    return Replay(
        replay_id=replay_id_of(known.subscription, destination.message_id, destination.attempt_epoch),
        dead_letter_id=known.dead_letter_id,
        message_id=destination.message_id,
        attempt_epoch=destination.attempt_epoch,
        subscription=known.subscription,
        queue=destination.queue,
        version=known.version,
        state=ReplayState.SENT,
        actor=instruction.actor,
        why=instruction.why,
        bulk_item_id=instruction.bulk_item_id,
        bulk_replay_id=instruction.bulk_replay_id,
        sent_at=now,
        answered_at=None,
    )


def decide_answer(
    known: DeadLetter, replay: Replay, outcome: ReplayState, now: datetime
) -> tuple[DeadLetter, Replay] | None:
    """What the answer to a replay makes of it and its dead letter, None when it was answered before.

    What was taken apart into events is done with when all of them are answered: those that failed again are dead
    letters of their own.
    """
    if replay.state is not ReplayState.SENT:
        return None
    answered = replace(replay, state=outcome, answered_at=now)
    is_outdated = known.form is Form.EVENT and known.attempt_epoch != replay.attempt_epoch
    if not known.unanswered or is_outdated:
        return known, answered
    left = known.unanswered - 1
    if left:
        return replace(known, unanswered=left, changed_at=now), answered
    return replace(known, state=State.RESOLVED, unanswered=0, is_parked=False, changed_at=now), answered


def decide_reopen(known: DeadLetter, now: datetime) -> DeadLetter:
    """Wait no longer for the answer to its replay. Whichever answer comes after all still counts.

    Raises Refused unless it is replaying, and has been for so long that an answer is not to be expected.
    """
    if known.state is not State.REPLAYING:
        text = f"the dead letter is {known.state}, only one that is replaying can be reopened"
        raise Refused(Objection.NOT_REPLAYING, text, state=known.state)
    until = known.changed_at + timedelta(seconds=ANSWER_EXPECTED_S)
    if now < until:
        text = f"its replay may still be answered: not before {until:%Y-%m-%d %H:%M:%SZ}"
        raise Refused(Objection.ANSWER_EXPECTED, text, until=until.isoformat())
    return replace(known, state=State.OPEN, changed_at=now)


def decide_discard(known: DeadLetter, now: datetime) -> DeadLetter:
    """The message is not wanted any more; its session goes on without it. Raises Refused unless it is open."""
    require_open(known)
    return replace(known, state=State.DISCARDED, is_parked=False, changed_at=now)


def decide_restore(known: DeadLetter, now: datetime) -> DeadLetter:
    """Take a discard back. The session has gone on meanwhile. Raises Refused unless it is discarded."""
    if known.state is not State.DISCARDED:
        text = f"the dead letter is {known.state}, only a discarded one can be restored"
        raise Refused(Objection.NOT_DISCARDED, text, state=known.state)
    return replace(known, state=State.OPEN, changed_at=now)


def decide_edit(known: DeadLetter, version: Version, if_version: int, now: datetime) -> DeadLetter:
    """Make `version` the current one. Raises Refused unless it is open and `if_version` is its version until now.

    What was replayed and not answered stays as it is: if it is handled after all, nobody could tell which version was.
    """
    require_open(known)
    if known.unanswered:
        text = "its replay is not answered, and may still be handled as it is: replay it again, or discard it"
        raise Refused(Objection.REPLAY_UNANSWERED, text)
    require_version(known, if_version)
    return replace(
        known, version=version.version, body_bytes=version.body_bytes, expires_at=version.expires_at, changed_at=now
    )


def require_version(known: DeadLetter, if_version: int) -> None:
    """Raises Refused when somebody has edited the dead letter since it was looked at."""
    if known.version != if_version:
        text = f"the body is at version {known.version}, not {if_version}: look at it again"
        raise Refused(Objection.VERSION_CONFLICT, text, version=known.version)


def require_open(known: DeadLetter) -> None:
    """Raises Refused unless it is open."""
    match known.state:
        case State.OPEN:
            return
        case State.REPLAYING:
            text = "the dead letter is replaying already, and the replay is not answered yet"
        case State.RESOLVED:
            text = "the dead letter is resolved already: its subscription has handled it"
        case State.DISCARDED:
            text = "the dead letter is discarded already"
        case _:
            assert_never(known.state)
    raise Refused(Objection.NOT_OPEN, text, state=known.state)
