"""What a bulk replay does next."""

from datetime import timedelta
from uuid import uuid4

import pytest
from dead_letter_states import NOW, a_bulk
from hypothesis import given
from hypothesis import strategies as st

from dead_letters.domain.bulk import (
    STEP_MAX,
    BulkEnded,
    BulkItem,
    Counts,
    decide_cancel,
    decide_item,
    decide_pause,
    decide_resume,
    decide_step,
)
from dead_letters.domain.states import BulkState, ItemState, ReplayState


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_the_canaries_alone_at_first() -> None:
    bulk = a_bulk(canary=3)
    assert decide_step(bulk, Counts(waiting=100), NOW)[1] == 3
    assert decide_step(bulk, Counts(waiting=97, sent=3), NOW + seconds(60))[1] == 0
    assert decide_step(bulk, Counts(waiting=97, sent=1, handled=2), NOW + seconds(60))[1] == 0
    # One that was skipped is none.
    assert decide_step(bulk, Counts(waiting=97, sent=2, skipped=1), NOW)[1] == 1


def test_stops_when_any_canary_fails() -> None:
    bulk, allowed = decide_step(a_bulk(canary=3, max_failure_ratio=1), Counts(97, 0, 2, 1), NOW)
    assert (bulk.state, bulk.stop_reason, allowed) == (BulkState.STOPPED, "a canary failed", 0)


def test_as_many_as_the_rate_allows_after_that() -> None:
    bulk, allowed = decide_step(a_bulk(rate_per_s=20), Counts(waiting=99, handled=1), NOW + seconds(0.25))
    assert allowed == 5
    bulk, allowed = decide_step(bulk, Counts(waiting=94, handled=6), NOW + seconds(0.30))
    assert allowed == 1
    # What was not used for long is not made up for.
    assert decide_step(bulk, Counts(waiting=93, handled=7), NOW + seconds(900))[1] == 20


def test_slow_rates_are_kept_too() -> None:
    bulk = a_bulk(rate_per_s=0.5)
    assert decide_step(bulk, Counts(waiting=99, handled=1), NOW + seconds(1))[1] == 0
    assert decide_step(bulk, Counts(waiting=99, handled=1), NOW + seconds(2))[1] == 1


def test_waits_when_too_many_are_unanswered() -> None:
    bulk = a_bulk(rate_per_s=1, canary=0)
    assert decide_step(bulk, Counts(waiting=90, sent=10), NOW + seconds(60))[1] == 0
    assert decide_step(bulk, Counts(waiting=90, sent=9), NOW + seconds(60))[1] == 1


@pytest.mark.parametrize(
    ("handled", "failed", "stops"), [(8, 1, False), (9, 1, False), (8, 2, True), (90, 10, False), (89, 11, True)]
)
def test_stops_when_more_than_the_ratio_fails_of_ten_or_more(handled: int, failed: int, stops: bool) -> None:
    bulk = a_bulk(canary=0, max_failure_ratio=0.1)
    decided, _ = decide_step(bulk, Counts(waiting=50, handled=handled, failed=failed), NOW)
    assert (decided.state is BulkState.STOPPED) == stops


def test_resumed_after_a_stop_it_is_judged_anew_and_begins_with_canaries() -> None:
    stopped, _ = decide_step(a_bulk(canary=2), Counts(waiting=98, handled=1, failed=1), NOW)
    resumed = decide_resume(stopped, NOW)
    bulk, allowed = decide_step(resumed, Counts(waiting=98, handled=1, failed=1), NOW)
    assert (bulk.state, bulk.stop_reason, allowed) == (BulkState.RUNNING, None, 2)


def test_finished_when_nothing_waits_and_all_is_answered() -> None:
    assert decide_step(a_bulk(), Counts(sent=1, handled=99), NOW)[0].state is BulkState.RUNNING
    bulk, _ = decide_step(a_bulk(), Counts(handled=98, failed=1, skipped=1), NOW)
    assert (bulk.state, bulk.finished_at) == (BulkState.FINISHED, NOW)


@pytest.mark.parametrize("state", [one for one in BulkState if one is not BulkState.RUNNING])
def test_nothing_is_replayed_unless_it_runs_and_answers_still_count(state: BulkState) -> None:
    bulk, allowed = decide_step(a_bulk(state=state), Counts(waiting=90, handled=5, failed=5), NOW + seconds(9))
    assert (bulk.state, bulk.handled, bulk.failed, allowed) == (state, 5, 5, 0)


def test_wishes_fit_the_state() -> None:
    allowed = {
        decide_pause: {BulkState.RUNNING},
        decide_resume: {BulkState.PAUSED, BulkState.STOPPED},
        decide_cancel: {BulkState.RUNNING, BulkState.PAUSED, BulkState.STOPPED},
    }
    for wish, states in allowed.items():
        for state in BulkState:
            if state in states:
                assert wish(a_bulk(state=state), NOW).state is not state
            else:
                with pytest.raises(BulkEnded):
                    wish(a_bulk(state=state), NOW)


def test_that_time_passes_is_no_change() -> None:
    bulk = a_bulk(waiting=10, sent=5, handled=85, total=100)
    decided, _ = decide_step(bulk, Counts(waiting=10, sent=5, handled=85), NOW + seconds(0.01))
    assert decided.changed_at == bulk.changed_at


def test_an_item_fails_with_the_first_event_that_does_and_is_handled_with_the_last() -> None:
    item = BulkItem(uuid4(), uuid4(), uuid4(), 1, ItemState.SENT, None)
    assert decide_item(item, ReplayState.HANDLED, is_last=False) is None
    handled = decide_item(item, ReplayState.HANDLED, is_last=True)
    assert handled is not None
    assert handled.state is ItemState.HANDLED
    failed = decide_item(item, ReplayState.FAILED, is_last=False, cause="the drone is stuck")
    assert failed is not None
    assert (failed.state, failed.note) == (ItemState.FAILED, "the drone is stuck")
    assert decide_item(failed, ReplayState.HANDLED, is_last=True) is None


@given(
    st.integers(0, 5), st.floats(0.1, 500), st.floats(0, 1), st.lists(st.booleans(), min_size=1, max_size=60),
    st.floats(0.01, 3),
)  # fmt: skip
def test_it_always_ends_and_never_replays_more_than_there_are(
    canary: int, rate_per_s: float, ratio: float, outcomes: list[bool], step_s: float
) -> None:
    bulk = a_bulk(canary=canary, rate_per_s=rate_per_s, max_failure_ratio=ratio, total=len(outcomes))
    waiting, handled, failed, now = list(outcomes), 0, 0, NOW
    for _ in range(20_000):
        bulk, allowed = decide_step(bulk, Counts(waiting=len(waiting), handled=handled, failed=failed), now)
        if bulk.state is not BulkState.RUNNING:
            break
        assert 0 <= allowed <= max(STEP_MAX, canary)
        some, waiting = waiting[:allowed], waiting[allowed:]
        handled, failed = handled + sum(some), failed + len(some) - sum(some)
        now += seconds(step_s)
    assert bulk.state in {BulkState.FINISHED, BulkState.STOPPED}
    if bulk.state is BulkState.FINISHED:
        assert (bulk.handled, bulk.failed) == (sum(outcomes), len(outcomes) - sum(outcomes))
    if all(outcomes):
        assert bulk.state is BulkState.FINISHED
