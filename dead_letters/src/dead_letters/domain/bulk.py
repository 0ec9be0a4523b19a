"""Bulk replays: a frozen set, the canaries first, then at a steady rate, until too much fails."""

from datetime import datetime
from math import floor
from uuid import UUID

from msgspec import Struct

from dead_letters.domain.dead_letter import Instruction, replace
from dead_letters.domain.states import BulkState, ItemState, ReplayState

JUDGED_FROM = 10
"""Answers before the share of failures means anything."""
IN_FLIGHT_S = 10.0
"""So many seconds' worth of replays may be unanswered: a subscription that is down is not flooded."""
IN_FLIGHT_MIN = 10
STEP_MAX = 200
"""Replays in one transaction."""


class BulkEnded(Exception):
    """The bulk replay is finished or cancelled, or not in the state that the wish needs."""


class BulkReplay(Struct, frozen=True):
    """A bulk replay, and how far it was when its items were last counted."""

    bulk_replay_id: UUID
    state: BulkState
    actor: str
    why: str
    selection: str
    """JSON."""
    canary: int
    rate_per_s: float
    max_failure_ratio: float
    total: int
    waiting: int
    sent: int
    handled: int
    failed: int
    skipped: int
    handled_before: int
    """When it last began: what was answered before that is not judged again."""
    failed_before: int
    credit: float
    """Replays that the rate allows now."""
    credited_at: datetime
    stop_reason: str | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None


class BulkItem(Struct, frozen=True):
    """One dead letter of a bulk replay."""

    bulk_item_id: UUID
    bulk_replay_id: UUID
    dead_letter_id: UUID
    position: int
    state: ItemState
    note: str | None


class Counts(Struct, frozen=True):
    """The items of a bulk replay by state."""

    waiting: int = 0
    sent: int = 0
    handled: int = 0
    failed: int = 0
    skipped: int = 0


def begin_bulk_replay(
    bulk_replay_id: UUID,
    instruction: Instruction,
    *,
    selection: str,
    canary: int,
    rate_per_s: float,
    max_failure_ratio: float,
    total: int,
    now: datetime,
) -> BulkReplay:
    """A bulk replay of which nothing is replayed yet."""
    return BulkReplay(
        bulk_replay_id=bulk_replay_id,
        state=BulkState.RUNNING,
        actor=instruction.actor,
        why=instruction.why,
        selection=selection,
        canary=canary,
        rate_per_s=rate_per_s,
        max_failure_ratio=max_failure_ratio,
        total=total,
        waiting=total,
        sent=0,
        handled=0,
        failed=0,
        skipped=0,
        handled_before=0,
        failed_before=0,
        credit=0.0,
        credited_at=now,
        stop_reason=None,
        created_at=now,
        changed_at=now,
        finished_at=None,
    )


def decide_step(known: BulkReplay, counts: Counts, now: datetime) -> tuple[BulkReplay, int]:
    """The bulk replay with these counts, and how many of its items may be replayed now."""
    counted = replace(
        known,
        waiting=counts.waiting,
        sent=counts.sent,
        handled=counts.handled,
        failed=counts.failed,
        skipped=counts.skipped,
        total=counts.waiting + counts.sent + counts.handled + counts.failed + counts.skipped,
    )
    if known.state is not BulkState.RUNNING:
        return _touched(known, counted, now), 0
    failed = counted.failed - known.failed_before
    finished = failed + counted.handled - known.handled_before
    stop_reason = _reason_to_stop(known, finished, failed)
    if stop_reason is not None:
        return replace(counted, state=BulkState.STOPPED, stop_reason=stop_reason, changed_at=now), 0
    if not counts.waiting and not counts.sent:
        return replace(counted, state=BulkState.FINISHED, finished_at=now, changed_at=now), 0
    if finished < known.canary:
        # The clock of the rate starts when the canaries are through.
        credited = replace(counted, credit=0.0, credited_at=now)
        return _touched(known, credited, now), max(0, min(known.canary - finished - counts.sent, STEP_MAX))
    elapsed_s = max(0.0, (now - known.credited_at).total_seconds())
    credit = min(max(1.0, known.rate_per_s), known.credit + elapsed_s * known.rate_per_s)
    room = max(IN_FLIGHT_MIN, floor(IN_FLIGHT_S * known.rate_per_s)) - counts.sent
    allowed = max(0, min(floor(credit), room, counts.waiting, STEP_MAX))
    credited = replace(counted, credit=credit - allowed, credited_at=now)
    return _touched(known, credited, now), allowed


def count_item(known: BulkReplay, item: BulkItem, now: datetime) -> BulkReplay:
    """One item less waits. Counted at once: a pause before the next step would hide what is unanswered."""
    counted = {item.state.value: getattr(known, item.state) + 1}
    return replace(known, waiting=known.waiting - 1, changed_at=now, **counted)


def _touched(before: BulkReplay, after: BulkReplay, now: datetime) -> BulkReplay:
    """The moment of the change is that of the counts: that time passes is none."""
    same = replace(after, credit=before.credit, credited_at=before.credited_at) == before
    return after if same else replace(after, changed_at=now)


def _reason_to_stop(known: BulkReplay, finished: int, failed: int) -> str | None:
    if failed and finished <= known.canary:
        return "a canary failed"
    if finished >= JUDGED_FROM and failed / finished > known.max_failure_ratio:
        return f"{failed} of {finished} failed, more than {known.max_failure_ratio:.0%}"
    return None


def decide_pause(known: BulkReplay, now: datetime) -> BulkReplay:
    """Replay nothing more for the moment. Raises BulkEnded unless it runs."""
    if known.state is not BulkState.RUNNING:
        raise BulkEnded(f"the bulk replay is {known.state}, only a running one can be paused")
    return replace(known, state=BulkState.PAUSED, changed_at=now)


def decide_resume(known: BulkReplay, now: datetime) -> BulkReplay:
    """Go on; after it stopped itself, with canaries again. Raises BulkEnded when there is nothing to resume."""
    if known.state is BulkState.PAUSED:
        return replace(known, state=BulkState.RUNNING, credit=0.0, credited_at=now, changed_at=now)
    if known.state is BulkState.STOPPED:
        return replace(
            known,
            state=BulkState.RUNNING,
            handled_before=known.handled,
            failed_before=known.failed,
            credit=0.0,
            credited_at=now,
            stop_reason=None,
            changed_at=now,
        )
    raise BulkEnded(f"the bulk replay is {known.state}, only a paused or stopped one can be resumed")


def decide_cancel(known: BulkReplay, now: datetime) -> BulkReplay:
    """Replay nothing more for ever. Raises BulkEnded when it has ended."""
    if known.state in {BulkState.FINISHED, BulkState.CANCELLED}:
        raise BulkEnded(f"the bulk replay is {known.state} already")
    return replace(known, state=BulkState.CANCELLED, finished_at=now, changed_at=now)


def give_up_item(known: BulkItem, note: str) -> BulkItem | None:
    """Wait no longer for an answer, None when it was not waited for."""
    return replace(known, state=ItemState.FAILED, note=note) if known.state is ItemState.SENT else None


def decide_item(known: BulkItem, outcome: ReplayState, *, is_last: bool, cause: str | None = None) -> BulkItem | None:
    """What the answer to one of its events makes of an item, None when nothing changes. A failure has a cause.

    One failure is enough; it is handled when the last event is.
    """
    if known.state is not ItemState.SENT:
        return None
    if outcome is ReplayState.FAILED:
        return replace(known, state=ItemState.FAILED, note=cause)
    return replace(known, state=ItemState.HANDLED) if is_last else None
