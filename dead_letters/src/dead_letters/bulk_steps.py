"""One step of a bulk replay."""

from uuid import UUID

from dead_letters.domain.audit import Action
from dead_letters.domain.bulk import BulkItem, BulkReplay, count_item, decide_step
from dead_letters.domain.dead_letter import DeadLetter, Instruction, Refused, replace
from dead_letters.domain.states import BulkState, ItemState, State
from dead_letters.loaders import Progress
from dead_letters.recording import record_bulk_action, record_replay
from shared_runtime import UnitOfWork
from shared_runtime.replays import SERVICE

ENDINGS = {BulkState.STOPPED: Action.BULK_STOP, BulkState.FINISHED: Action.BULK_FINISH}


def take_step(bulk_replay_id: UUID, work: UnitOfWork) -> None:
    """Count what was answered, stop or finish, and replay as many as may be replayed now."""
    known, progress = work.get(BulkReplay, bulk_replay_id), work.get(Progress, bulk_replay_id)
    assert known is not None  # noqa: S101 - the loader found it
    assert progress is not None  # noqa: S101 - loaded with it
    bulk, allowed = decide_step(known, progress.counts, work.now)
    if bulk.state is not known.state:
        instruction = Instruction(SERVICE, bulk.stop_reason or "all were answered")
        record_bulk_action(ENDINGS[bulk.state], known, bulk, instruction, work)
    for item_id in progress.next_item_ids:
        if not allowed:
            break
        item = work.get(BulkItem, item_id)
        assert item is not None  # noqa: S101 - loaded with the bulk replay
        decided = _replay(item, bulk, work)
        work.put(decided)
        bulk = count_item(bulk, decided, work.now)
        allowed -= decided.state is ItemState.SENT
    if bulk != known:
        work.put(bulk)


def _replay(item: BulkItem, bulk: BulkReplay, work: UnitOfWork) -> BulkItem:
    """Replay the item's dead letter if it is open at this moment. What is skipped takes nothing from the rate."""
    letter = work.get(DeadLetter, item.dead_letter_id)
    assert letter is not None  # noqa: S101 - loaded with the item
    instruction = Instruction(bulk.actor, bulk.why, item.bulk_item_id, bulk.bulk_replay_id)
    try:
        sent = record_replay(letter, instruction, work)
    except Refused as refused:
        return replace(item, state=ItemState.SKIPPED, note=str(refused))
    # Everything inside was known already.
    state = ItemState.SENT if sent.state is State.REPLAYING else ItemState.HANDLED
    return replace(item, state=state)
