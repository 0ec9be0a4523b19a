"""What support does with the messages that no service could process, and what the services answer."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, assert_never
from uuid import UUID

from dead_letters.bulk_steps import take_step
from dead_letters.commands import (
    DiscardDeadLetter,
    DiscardMany,
    EditDeadLetter,
    ReopenDeadLetter,
    ReplayDeadLetter,
    RestoreDeadLetter,
    StartBulkReplay,
    SteerBulkReplay,
    Wish,
)
from dead_letters.contents import Content
from dead_letters.domain.audit import Action
from dead_letters.domain.bulk import (
    BulkEnded,
    BulkItem,
    BulkReplay,
    begin_bulk_replay,
    decide_cancel,
    decide_item,
    decide_pause,
    decide_resume,
)
from dead_letters.domain.dead_letter import (
    DeadLetter,
    Instruction,
    Refused,
    Replay,
    decide_answer,
    decide_edit,
    decide_restore,
    require_version,
)
from dead_letters.domain.limits import SELECTION_MAX
from dead_letters.domain.states import ReplayState
from dead_letters.editing import next_version
from dead_letters.loaders import (
    AT_WORK,
    AtWork,
    load_answered,
    load_contents,
    load_dead_letters,
    load_next_items,
    load_unanswered_items,
    replay_key,
)
from dead_letters.recording import (
    record_action,
    record_bulk_action,
    record_discard,
    record_reopen,
    record_replay,
    told_as_conflict,
    unknown_bulk_replay,
    unknown_dead_letter,
)
from dead_letters.selections import FrozenSet, FrozenSetStore, Selected, load_selected
from dead_letters.stores import AUDIT_ENTRIES, BULK_ITEMS, BULK_REPLAYS, DEAD_LETTERS, REPLAYS, VERSIONS
from shared_runtime import Consumer, Problem, Tick, UnitOfWork, loaded_by
from shared_runtime.replays import OUTCOMES, SERVICE, ReplayHandled
from shared_runtime.store import Store

STEP_INTERVAL_S = 0.25

# In the order in which every transaction locks them.
STORES: Sequence[Store[Any]] = [
    REPLAYS,
    BULK_REPLAYS,
    BULK_ITEMS,
    DEAD_LETTERS,
    VERSIONS,
    FrozenSetStore(),
    AUDIT_ENTRIES,
]

consumer = Consumer(SERVICE, [OUTCOMES], STORES)


@consumer.handles(ReplayHandled, loads=[loaded_by(Replay, replay_key), load_answered])
def on_replay_handled(answer: ReplayHandled, work: UnitOfWork) -> None:
    """The replay was handled: its dead letter is resolved. A second answer changes nothing."""
    replay = work.get(Replay, replay_key(answer))
    letter = work.get(DeadLetter, replay.dead_letter_id) if replay else None
    decision = replay and letter and decide_answer(letter, replay, ReplayState.HANDLED, work.now)
    if not decision:
        return
    letter, replay = decision
    work.put(letter)
    work.put(replay)
    item = work.get(BulkItem, replay.bulk_item_id) if replay.bulk_item_id else None
    is_last = not letter.unanswered
    decided = item and decide_item(item, ReplayState.HANDLED, is_last=is_last)
    if decided:
        work.put(decided)


@consumer.handles(
    ReplayDeadLetter, loads=[loaded_by(DeadLetter, lambda command: command.dead_letter_id), load_contents]
)
@told_as_conflict()
def on_replay_dead_letter(command: ReplayDeadLetter, work: UnitOfWork) -> DeadLetter:
    """Send the dead letter to its subscription again, once: it is refused unless it is open."""
    known = _known(command.dead_letter_id, work)
    return record_replay(known, Instruction(command.actor, command.why), work)


@consumer.handles(DiscardDeadLetter, loads=[loaded_by(DeadLetter, lambda command: command.dead_letter_id)])
@told_as_conflict()
def on_discard_dead_letter(command: DiscardDeadLetter, work: UnitOfWork) -> DeadLetter:
    """Discard the dead letter; its session goes on without it."""
    known = _known(command.dead_letter_id, work)
    return record_discard(known, Instruction(command.actor, command.why), work)


@consumer.handles(DiscardMany, loads=[load_dead_letters])
def on_discard_many(command: DiscardMany, work: UnitOfWork) -> int:
    """Discard those that are open, and say how many they were."""
    discarded = 0
    for dead_letter_id in command.dead_letter_ids:
        with suppress(Refused):
            record_discard(_known(dead_letter_id, work), Instruction(command.actor, command.why), work)
            discarded += 1
    return discarded


@consumer.handles(RestoreDeadLetter, loads=[loaded_by(DeadLetter, lambda command: command.dead_letter_id)])
@told_as_conflict()
def on_restore_dead_letter(command: RestoreDeadLetter, work: UnitOfWork) -> DeadLetter:
    """Take a discard back. Its session has gone on: a replay comes behind what is there by then."""
    known = _known(command.dead_letter_id, work)
    letter = decide_restore(known, work.now)
    work.put(letter)
    record_action(Action.RESTORE, known, letter, Instruction(command.actor, command.why), work)
    return letter


@consumer.handles(
    ReopenDeadLetter, loads=[loaded_by(DeadLetter, lambda command: command.dead_letter_id), load_unanswered_items]
)
@told_as_conflict()
def on_reopen_dead_letter(command: ReopenDeadLetter, work: UnitOfWork) -> DeadLetter:
    """Wait no longer for the answer to its replay. Replayed again it has the same epoch, and so no effect twice."""
    known = _known(command.dead_letter_id, work)
    return record_reopen(known, Instruction(command.actor, command.why), work)


@consumer.handles(EditDeadLetter, loads=[loaded_by(DeadLetter, lambda command: command.dead_letter_id), load_contents])
@told_as_conflict()
def on_edit_dead_letter(command: EditDeadLetter, work: UnitOfWork) -> DeadLetter:
    """Mend a copy; the versions before it are kept. Who looked at an older version is refused."""
    known = _known(command.dead_letter_id, work)
    content = work.get(Content, known.dead_letter_id)
    assert content is not None  # noqa: S101 - every dead letter has a body
    require_version(known, command.if_version)
    require_version(known, content.version)
    version = next_version(known, content, command, work.now)
    letter = decide_edit(known, version, command.if_version, work.now)
    work.put(version)
    work.put(letter)
    record_action(Action.EDIT, known, letter, Instruction(command.actor, command.why), work)
    return letter


@consumer.handles(StartBulkReplay, loads=[load_selected])
def on_start_bulk_replay(command: StartBulkReplay, work: UnitOfWork) -> BulkReplay:
    """Freeze the set; the steps follow by themselves."""
    selected = work.get(Selected, command.bulk_replay_id)
    count = selected.count if selected else 0
    require_selection(count, SELECTION_MAX)
    bulk = begin_bulk_replay(
        command.bulk_replay_id,
        Instruction(command.actor, command.why),
        selection=command.choice.as_json(),
        canary=command.canary,
        rate_per_s=command.rate_per_s,
        max_failure_ratio=command.max_failure_ratio,
        total=count,
        now=work.now,
    )
    work.put(bulk)
    work.put(FrozenSet(command.bulk_replay_id, command.choice))
    record_bulk_action(Action.BULK_START, None, bulk, Instruction(command.actor, command.why), work)
    return bulk


@consumer.handles(SteerBulkReplay, loads=[loaded_by(BulkReplay, lambda command: command.bulk_replay_id)])
def on_steer_bulk_replay(command: SteerBulkReplay, work: UnitOfWork) -> BulkReplay:
    """Pause, resume or cancel."""
    known = work.get(BulkReplay, command.bulk_replay_id)
    if known is None:
        raise unknown_bulk_replay(command.bulk_replay_id)
    try:
        action, bulk = _steered(known, command.wish, work)
    except BulkEnded as ended:
        raise Problem(409, "bulk-replay-ended", str(ended), state=known.state) from None
    work.put(bulk)
    record_bulk_action(action, known, bulk, Instruction(command.actor, command.why), work)
    return bulk


@consumer.every(STEP_INTERVAL_S, loads=[load_next_items])
def on_bulk_tick(_: Tick, work: UnitOfWork) -> None:
    """Bulk replays take their next step, each in one process at a time."""
    at_work = work.get(AtWork, AT_WORK)
    for bulk_replay_id in at_work.bulk_replay_ids if at_work else ():
        take_step(bulk_replay_id, work)


def require_selection(count: int, limit: int) -> None:
    """Raises Problem 422 when nothing is selected, or more than may be."""
    if not count:
        raise Problem(422, "nothing-selected", "no dead letter is like that")
    if count > limit:
        text = f"{count} dead letters are like that, at most {limit} may be selected"
        raise Problem(422, "selection-too-large", text, selected=count, limit=limit)


def _steered(known: BulkReplay, wish: Wish, work: UnitOfWork) -> tuple[Action, BulkReplay]:
    match wish:
        case Wish.PAUSE:
            return Action.BULK_PAUSE, decide_pause(known, work.now)
        case Wish.RESUME:
            return Action.BULK_RESUME, decide_resume(known, work.now)
        case Wish.CANCEL:
            return Action.BULK_CANCEL, decide_cancel(known, work.now)
        case _:
            assert_never(wish)


def _known(dead_letter_id: UUID, work: UnitOfWork) -> DeadLetter:
    known = work.get(DeadLetter, dead_letter_id)
    if known is None:
        raise unknown_dead_letter(dead_letter_id)
    return known
