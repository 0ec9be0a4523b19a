"""Delivery-events: what they do to the status, in whatever order they come."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingestion.domain import limits
from ingestion.domain.progress import (
    Cancellation,
    ChangeState,
    DeliveryProgress,
    Reschedule,
    cancellation_as_told,
    decide_cancellation_refused,
    decide_cancelled,
    decide_completed,
    decide_failed,
    decide_headed_to_dropoff,
    decide_headed_to_pickup,
    decide_refused,
    decide_reschedule_accepted,
    decide_reschedule_refused,
    decide_rescheduled,
    decide_scheduled,
    later_stage,
    reschedule_as_told,
)
from shared_contracts.delivery.v1 import (
    DeliveryCancellationRefused,
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryHeadedToDropoff,
    DeliveryHeadedToPickup,
    DeliveryRescheduled,
    DeliveryRescheduleRefused,
    DeliveryScheduled,
    RefusalReason,
)
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage

from .examples import (
    DELIVERY,
    DRONE,
    NOW,
    after,
    at_stage,
    cancellation_refused,
    cancelled,
    completed,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    pending,
    reschedule_refused,
    rescheduled,
    scheduled,
)

CANCELLATION = Cancellation(DELIVERY, ChangeState.REQUESTED, requested_at=NOW)
RESCHEDULE = Reschedule(DELIVERY, ChangeState.REQUESTED, after(30), after(90), requested_at=NOW)


def follow(progress: DeliveryProgress, *events: DeliveryEvent) -> DeliveryProgress:  # noqa: PLR0911
    """The progress after these events, in this order."""
    if not events:
        return progress
    event, *rest = events
    match event:
        case DeliveryScheduled():
            return follow(decide_scheduled(progress, event), *rest)
        case DeliveryRescheduled():
            return follow(decide_rescheduled(progress, event), *rest)
        case DeliveryHeadedToPickup():
            return follow(decide_headed_to_pickup(progress, event), *rest)
        case DeliveryHeadedToDropoff():
            return follow(decide_headed_to_dropoff(progress, event), *rest)
        case DeliveryCompleted():
            return follow(decide_completed(progress, event), *rest)
        case DeliveryCancelled():
            return follow(decide_cancelled(progress, event), *rest)
        case DeliveryFailed():
            return follow(decide_failed(progress, event), *rest)
        case DeliveryCancellationRefused() | DeliveryRescheduleRefused():
            return follow(decide_refused(progress, event), *rest)
        case _:
            raise AssertionError(event)


def test_status_tells_the_drone_and_the_arrival_times_when_scheduled() -> None:
    progress = follow(pending(), scheduled())

    assert (progress.stage, progress.drone_id) == (DeliveryStage.CREATED, DRONE)
    assert (progress.pickup_eta, progress.dropoff_eta, progress.scheduled_at) == (after(12), after(20), after(1))


def test_status_tells_each_step_when_the_delivery_is_flown() -> None:
    progress = follow(pending(), scheduled(), headed_to_pickup(), headed_to_dropoff(), completed())

    assert progress.stage is DeliveryStage.COMPLETED
    assert (progress.pickup_eta, progress.dropoff_eta) == (after(11), after(19))
    assert (progress.headed_to_pickup_at, progress.headed_to_dropoff_at) == (after(5), after(11))
    assert (progress.ended_at, progress.reason, progress.due_at) == (after(19), None, None)


def test_status_tells_the_reason_when_failed() -> None:
    progress = follow(pending(), failed())

    assert (progress.stage, progress.reason) == (DeliveryStage.FAILED, "no_drone_available")
    assert (progress.description, progress.ended_at) == ("No drone became free before the deadline.", after(7))
    assert progress.due_at is None


def test_status_tells_the_reason_when_cancelled() -> None:
    progress = follow(pending(), scheduled(), cancelled())

    assert (progress.stage, progress.reason) == (DeliveryStage.CANCELLED, "customer_request")
    assert (progress.ended_at, progress.due_at) == (after(6), None)


def test_new_times_and_arrival_times_hold_when_rescheduled() -> None:
    progress = follow(pending(), scheduled(), rescheduled())

    assert progress.stage is DeliveryStage.RESCHEDULED
    assert (progress.pickup_time, progress.deadline) == (after(30), after(90))
    assert (progress.pickup_eta, progress.dropoff_eta) == (after(30), after(38))
    assert progress.due_at == after(90) + limits.OUTCOME_GRACE


def test_arrival_times_of_the_flight_hold_when_an_earlier_change_is_heard_later() -> None:
    to_pickup = follow(pending(), headed_to_pickup(), rescheduled(), scheduled())
    on_board = follow(to_pickup, headed_to_dropoff(), rescheduled(at=3))

    assert (to_pickup.pickup_eta, to_pickup.dropoff_eta) == (after(11), after(38))
    assert (on_board.pickup_eta, on_board.dropoff_eta) == (after(11), after(19))


def test_inquiries_start_anew_when_rescheduled() -> None:
    asked = replace(pending(), outcome_inquiries=3)

    assert follow(asked, rescheduled()).outcome_inquiries == 0


def test_newer_times_hold_when_an_older_change_comes_later() -> None:
    progress = follow(pending(), rescheduled(at=3, pickup=45, deadline=120), rescheduled(at=2, deadline=90))

    assert (progress.pickup_time, progress.deadline) == (after(45), after(120))
    assert (progress.pickup_eta, progress.dropoff_eta) == (after(45), after(53))


def test_last_times_hold_when_two_changes_were_recorded_at_the_same_moment() -> None:
    progress = follow(pending(), rescheduled(at=3, deadline=90), rescheduled(at=3, deadline=120))

    assert progress.deadline == after(120)


def test_the_later_change_holds_when_it_was_recorded_by_a_process_whose_clock_was_slow() -> None:
    first, second = rescheduled(at=7, deadline=90, sequence=2), rescheduled(at=3, deadline=120, sequence=3)

    assert follow(pending(), first, second).deadline == after(120)
    assert follow(pending(), second, first) == follow(pending(), first, second)


def test_times_decide_between_changes_that_are_not_numbered() -> None:
    numbered, not_numbered = rescheduled(at=2, deadline=90, sequence=2), rescheduled(at=3, deadline=120)

    assert follow(pending(), numbered, not_numbered) == follow(pending(), not_numbered, numbered)


STORIES: list[list[DeliveryEvent]] = [
    [scheduled(), headed_to_pickup(), headed_to_dropoff(), completed()],
    [scheduled(), rescheduled(), headed_to_pickup(), headed_to_dropoff(), completed()],
    [scheduled(), rescheduled(at=2), rescheduled(at=3, pickup=45, deadline=120), headed_to_pickup(), completed()],
    [scheduled(), rescheduled(at=2), rescheduled(at=3, pickup=45, deadline=120), reschedule_refused(pickup=60)],
    [scheduled(), headed_to_pickup(), reschedule_refused(), headed_to_dropoff(), cancellation_refused(), completed()],
    [scheduled(), rescheduled(), cancelled()],
    [
        scheduled(),
        rescheduled(at=7, sequence=2),
        rescheduled(at=3, deadline=120, sequence=3),
        rescheduled(at=5, pickup=45, deadline=100, sequence=4),
    ],
    [scheduled(), headed_to_pickup(), failed()],
    [failed(), cancellation_refused(DeliveryStage.FAILED, RefusalReason.ALREADY_ENDED)],
    [scheduled(), rescheduled()],
    [scheduled(), headed_to_pickup(), headed_to_dropoff()],
]


def told(progress: DeliveryProgress) -> DeliveryProgress:
    """What the owner can see of it."""
    return replace(progress, outcome_inquiries=0)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: " ".join(type(event).__name__ for event in story))
def test_status_ends_the_same_when_events_come_in_any_order(story: list[DeliveryEvent]) -> None:
    in_order = told(follow(pending(), *story))

    assert all(told(follow(pending(), *order)) == in_order for order in permutations(story))


@st.composite
def interleavings(draw: st.DrawFn) -> tuple[Sequence[DeliveryEvent], Sequence[DeliveryEvent]]:
    """A story, and the same events shuffled with some of them repeated."""
    story = draw(st.sampled_from(STORIES))
    repeated = draw(st.lists(st.sampled_from(story), max_size=6))
    return story, draw(st.permutations(story + repeated))


@given(interleavings())
def test_status_ends_the_same_when_events_are_shuffled_and_repeated(
    case: tuple[Sequence[DeliveryEvent], Sequence[DeliveryEvent]],
) -> None:
    story, heard = case

    assert told(follow(pending(), *heard)) == told(follow(pending(), *story))


ANY_EVENT = st.sampled_from([event for story in STORIES for event in story])


@given(st.lists(ANY_EVENT, max_size=12))
def test_stage_never_goes_back_whatever_is_heard(events: list[DeliveryEvent]) -> None:
    """Even if two terminal events came, which only a broken publisher sends: the first one stays."""
    steps = [follow(pending(), *events[:count]) for count in range(len(events) + 1)]

    for before, then in pairwise(steps):
        assert later_stage(before.stage, then.stage) is then.stage
        if before.stage.is_terminal:
            assert then.stage is before.stage
        assert (then.due_at is None) == then.stage.is_terminal


@pytest.mark.parametrize("first", sorted(TERMINAL_STAGES))
@pytest.mark.parametrize("second", [completed(), cancelled(), failed()], ids=lambda event: type(event).__name__)
def test_first_terminal_stage_stays_when_another_is_heard(first: DeliveryStage, second: DeliveryEvent) -> None:
    assert follow(at_stage(first), second).stage is first


def test_refusal_ends_the_inquiries_when_the_terminal_event_is_late() -> None:
    progress = follow(pending(), cancellation_refused(DeliveryStage.FAILED, RefusalReason.ALREADY_ENDED))

    assert (progress.stage, progress.due_at, progress.ended_at) == (DeliveryStage.FAILED, None, None)
    assert follow(progress, failed()).reason == "no_drone_available"


def test_outcome_stays_due_when_a_refusal_tells_that_the_delivery_goes_on() -> None:
    progress = follow(pending(), cancellation_refused())

    assert (progress.stage, progress.due_at) == (DeliveryStage.HEADED_TO_DROPOFF, pending().due_at)


def test_owner_is_told_why_when_the_cancellation_is_refused() -> None:
    cancellation = decide_cancellation_refused(CANCELLATION, cancellation_refused())

    assert cancellation == replace(
        CANCELLATION,
        state=ChangeState.REFUSED,
        answered_at=after(13),
        refusal_reason=RefusalReason.PACKAGE_ON_BOARD,
    )


def test_owner_is_told_nothing_when_the_refused_cancellation_was_an_inquiry() -> None:
    assert decide_cancellation_refused(None, cancellation_refused()) is None


def test_owner_is_told_why_when_the_reschedule_is_refused() -> None:
    reschedule = decide_reschedule_refused(RESCHEDULE, reschedule_refused())

    assert reschedule is not None
    assert (reschedule.state, reschedule.refusal_reason) == (ChangeState.REFUSED, RefusalReason.PICKUP_UNDER_WAY)


@pytest.mark.parametrize("refused", [reschedule_refused(pickup=40), reschedule_refused(deadline=70)])
def test_reschedule_stays_pending_when_the_refused_times_are_those_of_an_earlier_wish(
    refused: DeliveryRescheduleRefused,
) -> None:
    assert decide_reschedule_refused(RESCHEDULE, refused) == RESCHEDULE


def test_owner_is_told_nothing_when_no_other_times_were_wished_for() -> None:
    assert decide_reschedule_refused(None, reschedule_refused()) is None


ANSWERS_TO_WISHES: list[list[DeliveryRescheduled | DeliveryRescheduleRefused]] = [
    [rescheduled(deadline=70), rescheduled()],
    [reschedule_refused(deadline=70), rescheduled()],
    [rescheduled(deadline=70), reschedule_refused()],
    [reschedule_refused(pickup=40), rescheduled(deadline=70), reschedule_refused()],
]


@pytest.mark.parametrize(
    "answers", ANSWERS_TO_WISHES, ids=lambda answers: " ".join(type(one).__name__ for one in answers)
)
def test_last_wish_gets_its_own_answer_when_the_answers_to_all_come_in_any_order(
    answers: list[DeliveryRescheduled | DeliveryRescheduleRefused],
) -> None:
    def hear(
        reschedule: Reschedule | None, event: DeliveryRescheduled | DeliveryRescheduleRefused
    ) -> Reschedule | None:
        if isinstance(event, DeliveryRescheduled):
            return decide_reschedule_accepted(reschedule, event)
        return decide_reschedule_refused(reschedule, event)

    own_answer = hear(RESCHEDULE, answers[-1])

    assert own_answer != RESCHEDULE
    assert all(reduce(hear, order, RESCHEDULE) == own_answer for order in permutations(answers))


def test_reschedule_is_accepted_when_the_new_times_are_the_ones_wished_for() -> None:
    reschedule = decide_reschedule_accepted(RESCHEDULE, rescheduled())

    assert reschedule == replace(RESCHEDULE, state=ChangeState.ACCEPTED, answered_at=after(2))


def test_reschedule_stays_pending_when_the_new_times_are_those_of_an_earlier_wish() -> None:
    assert decide_reschedule_accepted(RESCHEDULE, rescheduled(deadline=70)) == RESCHEDULE


@pytest.mark.parametrize("state", [ChangeState.ACCEPTED, ChangeState.REFUSED])
def test_answer_stays_when_another_answer_follows(state: ChangeState) -> None:
    answered = replace(RESCHEDULE, state=state)

    assert decide_reschedule_accepted(answered, rescheduled()) == answered
    assert decide_reschedule_refused(answered, reschedule_refused()) == answered


def test_cancellation_is_told_accepted_when_the_delivery_is_cancelled() -> None:
    told_as = cancellation_as_told(CANCELLATION, follow(pending(), cancelled()))

    assert (told_as.state, told_as.answered_at) == (ChangeState.ACCEPTED, after(6))


@pytest.mark.parametrize("end", [completed(), failed()], ids=lambda event: type(event).__name__)
def test_pending_wishes_are_told_refused_when_the_delivery_ended_otherwise(end: DeliveryEvent) -> None:
    ended = follow(pending(), end)

    cancellation, reschedule = cancellation_as_told(CANCELLATION, ended), reschedule_as_told(RESCHEDULE, ended)

    assert (cancellation.state, cancellation.refusal_reason) == (ChangeState.REFUSED, RefusalReason.ALREADY_ENDED)
    assert (reschedule.state, reschedule.refusal_reason) == (ChangeState.REFUSED, RefusalReason.ALREADY_ENDED)


def test_wishes_are_told_as_they_are_when_the_delivery_goes_on() -> None:
    progress = follow(pending(), scheduled())

    assert cancellation_as_told(CANCELLATION, progress) == CANCELLATION
    assert reschedule_as_told(RESCHEDULE, progress) == RESCHEDULE
