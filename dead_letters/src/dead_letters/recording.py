"""What several handlers record alike."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import UUID

from dead_letters.contents import Content
from dead_letters.domain.audit import Action, AuditEntry, facts_of
from dead_letters.domain.bulk import BulkItem, BulkReplay, give_up_item
from dead_letters.domain.dead_letter import (
    DeadLetter,
    Instruction,
    Refused,
    Replay,
    decide_discard,
    decide_reopen,
    decide_replay,
    epoch_of_replay,
    replay_id_of,
    require_open,
    require_version,
)
from dead_letters.domain.states import Form, ReplayState
from dead_letters.loaders import Taken, UnansweredItems
from dead_letters.origins import ORIGINS, destinations_of, queue_of, replayed, require_origin
from shared_runtime import Problem, UnitOfWork
from shared_runtime.envelope import Envelope, new_id
from shared_runtime.errors import NotLoaded


def record_replay(known: DeadLetter, instruction: Instruction, work: UnitOfWork) -> DeadLetter:
    """Send the dead letter's events again. Raises Refused."""
    require_open(known)
    require_origin(known)
    content = work.get(Content, known.dead_letter_id)
    assert content is not None  # noqa: S101 - every dead letter has a body
    # An edit of this moment is in the same transaction, and who wants the replay has not seen it.
    require_version(known, content.version)
    events = {event.id: event for event in content.events()}
    known_ids = {one.id for one in events.values() if _is_known_elsewhere(one, known, work)}
    destinations = destinations_of(known, list(events.values()), known_ids)
    letter, replays = decide_replay(known, destinations, instruction, work.now)
    for replay in replays:
        work.put(replay)
        work.replay(replay.queue, replayed(known, replay, events[replay.message_id]))
    work.put(letter)
    record_action(Action.REPLAY, known, letter, instruction, work)
    return letter


def _is_known_elsewhere(event: Envelope, known: DeadLetter, work: UnitOfWork) -> bool:
    """Whether an event of the dead letter has another one of its own, or was sent for another one."""
    if known.form is Form.UNDECODABLE:
        taken = work.get(Taken, known.dead_letter_id)
        assert taken is not None  # noqa: S101 - loaded with it
        if event.id in taken.message_ids:
            return True
    replay_id = replay_id_of(known.subscription, event.id, epoch_of_replay(known, event.attempt_epoch))
    try:
        sent = work.get(Replay, replay_id)
    except NotLoaded:
        # The loader has found none.
        return False
    assert sent is not None  # noqa: S101 - what is not there is not loaded
    return sent.dead_letter_id != known.dead_letter_id or sent.state is not ReplayState.SENT


def record_reopen(known: DeadLetter, instruction: Instruction, work: UnitOfWork) -> DeadLetter:
    """Wait no longer for an answer, and let no bulk replay wait for it. Raises Refused."""
    letter = decide_reopen(known, work.now)
    unanswered = work.get(UnansweredItems, known.dead_letter_id)
    for bulk_item_id in unanswered.bulk_item_ids if unanswered else ():
        item = work.get(BulkItem, bulk_item_id)
        given_up = item and give_up_item(item, f"not answered, and reopened by {instruction.actor}")
        if given_up:
            work.put(given_up)
    work.put(letter)
    record_action(Action.REOPEN, known, letter, instruction, work)
    return letter


def record_discard(known: DeadLetter, instruction: Instruction, work: UnitOfWork) -> DeadLetter:
    """Discard the dead letter, and let its session go on. Raises Refused."""
    letter = decide_discard(known, work.now)
    is_there = known.subscription in ORIGINS
    if is_there and known.is_parked and known.form is Form.EVENT and known.session_id and known.message_id:
        queue = queue_of(known.subscription, known.session_id)
        work.discard_parked(queue, known.session_id, known.message_id)
    work.put(letter)
    record_action(Action.DISCARD, known, letter, instruction, work)
    return letter


def record_action(
    action: Action, before: DeadLetter, after: DeadLetter, instruction: Instruction, work: UnitOfWork
) -> None:
    """Say in the audit what was done to a dead letter."""
    work.put(
        AuditEntry(
            audit_entry_id=new_id(),
            at=work.now,
            actor=instruction.actor,
            action=action,
            dead_letter_id=after.dead_letter_id,
            bulk_replay_id=instruction.bulk_replay_id,
            why=instruction.why,
            before=facts_of(before),
            after=facts_of(after),
        )
    )


def record_bulk_action(
    action: Action, before: BulkReplay | None, after: BulkReplay, instruction: Instruction, work: UnitOfWork
) -> None:
    """Say in the audit what was done to a bulk replay."""
    work.put(
        AuditEntry(
            audit_entry_id=new_id(),
            at=work.now,
            actor=instruction.actor,
            action=action,
            dead_letter_id=None,
            bulk_replay_id=after.bulk_replay_id,
            why=instruction.why,
            before=facts_of(before),
            after=facts_of(after),
        )
    )


@contextmanager
def told_as_conflict() -> Generator[None]:
    """What the rules refuse is a conflict for who asked over HTTP: Problem 409 instead of Refused."""
    try:
        yield
    except Refused as refused:
        raise Problem(409, refused.objection, str(refused), **refused.facts) from None


def unknown_dead_letter(dead_letter_id: UUID) -> Problem:
    return Problem(404, "dead-letter-unknown", f"there is no dead letter {dead_letter_id}")


def unknown_bulk_replay(bulk_replay_id: UUID) -> Problem:
    return Problem(404, "bulk-replay-unknown", f"there is no bulk replay {bulk_replay_id}")
