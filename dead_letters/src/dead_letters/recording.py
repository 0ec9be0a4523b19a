"""What several handlers record alike."""

from uuid import UUID

from dead_letters.contents import Content
from dead_letters.domain.audit import Action, AuditEntry, facts_of
from dead_letters.domain.bulk import BulkReplay
from dead_letters.domain.dead_letter import DeadLetter, Instruction, Refused, decide_discard, decide_replay
from dead_letters.domain.states import Form
from dead_letters.loaders import Taken
from dead_letters.origins import destinations_of, queue_of, replayed
from shared_runtime import Problem, UnitOfWork
from shared_runtime.envelope import new_id


def record_replay(known: DeadLetter, instruction: Instruction, work: UnitOfWork) -> DeadLetter:
    """Send the dead letter's events again. Raises Refused."""
    content, taken = work.get(Content, known.dead_letter_id), work.get(Taken, known.dead_letter_id)
    assert content is not None  # noqa: S101 - every dead letter has a body
    assert taken is not None  # noqa: S101 - loaded with it
    events = {event.id: event for event in content.events()}
    destinations = destinations_of(known, list(events.values()), taken.message_ids)
    letter, replays = decide_replay(known, destinations, instruction, work.now)
    for replay in replays:
        work.put(replay)
        work.replay(replay.queue, replayed(known, replay, events[replay.message_id]))
    work.put(letter)
    record_action(Action.REPLAY, known, letter, instruction, work)
    return letter


def record_discard(known: DeadLetter, instruction: Instruction, work: UnitOfWork) -> DeadLetter:
    """Discard the dead letter, and let its session go on. Raises Refused."""
    letter = decide_discard(known, work.now)
    if known.is_parked and known.form is Form.EVENT and known.session_id and known.message_id:
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


def conflict_of(refused: Refused) -> Problem:
    """The refusal as HTTP clients are told."""
    return Problem(409, refused.objection, str(refused), **refused.facts)


def unknown_dead_letter(dead_letter_id: UUID) -> Problem:
    return Problem(404, "dead-letter-unknown", f"there is no dead letter {dead_letter_id}")


def unknown_bulk_replay(bulk_replay_id: UUID) -> Problem:
    return Problem(404, "bulk-replay-unknown", f"there is no bulk replay {bulk_replay_id}")
