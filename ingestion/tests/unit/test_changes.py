"""PATCH and DELETE: what the owner may still change, and what is asked for once only."""

import pytest
from msgspec.structs import replace

from ingestion.domain import limits
from ingestion.domain.commands import Idempotency, RefusalKind, decide_cancellation, decide_rescheduling
from ingestion.domain.progress import Cancellation, ChangeState, Reschedule
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage
from shared_contracts.ingestion.v1 import (
    CancellationReason,
    DeliveryCancellationRequested,
    DeliveryRescheduleRequested,
)

from .examples import (
    DELIVERY,
    KEY,
    NOW,
    OWNER,
    accepted,
    after,
    answer_to,
    at_stage,
    cancellation_wish,
    pending,
    refused,
    reschedule_wish,
    stored,
)

WISHED = Cancellation(DELIVERY, ChangeState.REQUESTED, requested_at=NOW)
OTHER_TIMES = Reschedule(DELIVERY, ChangeState.REQUESTED, after(30), after(90), requested_at=NOW)
PROGRESS = pending()


def test_delivery_is_asked_to_cancel_when_the_owner_wishes() -> None:
    decision = accepted(decide_cancellation(cancellation_wish(), None, PROGRESS, None, now=after(1)))

    assert decision.message == DeliveryCancellationRequested(
        delivery_id=DELIVERY, owner_id=OWNER, reason=CancellationReason.CUSTOMER_REQUEST
    )
    assert stored(decision, Cancellation) == replace(WISHED, requested_at=after(1))


def test_nothing_new_is_asked_when_a_cancellation_is_pending() -> None:
    decision = accepted(decide_cancellation(cancellation_wish(), None, PROGRESS, WISHED, now=after(1)))

    assert decision.acceptance.accepted_at == NOW
    assert (decision.states, decision.message) == ((), None)


def test_delivery_is_asked_again_when_a_cancellation_was_refused() -> None:
    earlier = replace(WISHED, state=ChangeState.REFUSED)

    assert accepted(decide_cancellation(cancellation_wish(), None, PROGRESS, earlier, now=after(1))).message


def test_delivery_is_asked_for_other_times_when_the_owner_wishes() -> None:
    decision = accepted(decide_rescheduling(reschedule_wish(), None, PROGRESS, None, None, now=after(1)))

    assert decision.message == DeliveryRescheduleRequested(
        delivery_id=DELIVERY, owner_id=OWNER, pickup_time=after(30), deadline=after(90)
    )
    assert stored(decision, Reschedule) == replace(OTHER_TIMES, requested_at=after(1))


@pytest.mark.parametrize("state", [ChangeState.REQUESTED, ChangeState.ACCEPTED])
def test_nothing_new_is_asked_when_the_same_times_are_pending_or_agreed(state: ChangeState) -> None:
    earlier = replace(OTHER_TIMES, state=state)

    decision = accepted(decide_rescheduling(reschedule_wish(), None, PROGRESS, None, earlier, now=after(1)))

    assert decision.acceptance.accepted_at == NOW
    assert (decision.states, decision.message) == ((), None)


def test_delivery_is_asked_again_when_the_same_times_were_refused() -> None:
    earlier = replace(OTHER_TIMES, state=ChangeState.REFUSED)

    assert accepted(decide_rescheduling(reschedule_wish(), None, PROGRESS, None, earlier, now=after(1))).message


def test_last_wish_counts_when_other_times_are_pending() -> None:
    command = reschedule_wish(deadline=after(95))

    decision = accepted(decide_rescheduling(command, None, PROGRESS, None, OTHER_TIMES, now=after(1)))

    assert stored(decision, Reschedule).deadline == after(95)


def test_times_do_not_change_before_delivery_agrees() -> None:
    decision = accepted(decide_rescheduling(reschedule_wish(), None, PROGRESS, None, None, now=after(1)))

    assert [type(state) for state in decision.states] == [Reschedule]


def test_refused_when_the_new_times_are_impossible() -> None:
    command = reschedule_wish(deadline=after(20))

    refusal = refused(decide_rescheduling(command, None, PROGRESS, None, None, now=after(1)))

    assert refusal.kind is RefusalKind.INVALID
    assert [(error.field, error.code) for error in refusal.errors] == [("deadline", "not_after_pickup_time")]


def test_no_other_times_when_a_cancellation_is_pending() -> None:
    refusal = refused(decide_rescheduling(reschedule_wish(), None, PROGRESS, WISHED, None, now=after(1)))

    assert refusal.kind is RefusalKind.CANCELLATION_PENDING


@pytest.mark.parametrize("stage", sorted(TERMINAL_STAGES))
def test_refused_when_the_delivery_has_ended(stage: DeliveryStage) -> None:
    ended = at_stage(stage)

    for decision in (
        decide_cancellation(cancellation_wish(), None, ended, None, now=after(1)),
        decide_rescheduling(reschedule_wish(), None, ended, None, None, now=after(1)),
    ):
        assert (refused(decision).kind, refused(decision).stage) == (RefusalKind.DELIVERY_ENDED, stage)


@pytest.mark.parametrize("stage", sorted(set(DeliveryStage) - TERMINAL_STAGES))
def test_accepted_when_the_delivery_is_on_its_way_because_delivery_decides(stage: DeliveryStage) -> None:
    accepted(decide_cancellation(cancellation_wish(), None, at_stage(stage), None, now=after(1)))
    accepted(decide_rescheduling(reschedule_wish(), None, at_stage(stage), None, None, now=after(1)))


def test_unknown_when_the_delivery_is_somebody_elses() -> None:
    theirs = replace(pending(), owner_id="bob")

    for decision in (
        decide_cancellation(cancellation_wish(), None, theirs, None, now=NOW),
        decide_cancellation(cancellation_wish(), None, None, None, now=NOW),
        decide_rescheduling(reschedule_wish(), None, theirs, None, None, now=NOW),
        decide_rescheduling(reschedule_wish(), None, None, None, None, now=NOW),
    ):
        assert refused(decision).kind is RefusalKind.UNKNOWN_DELIVERY


def test_same_answer_when_the_delivery_has_ended_since() -> None:
    ended = at_stage(DeliveryStage.CANCELLED)
    first = accepted(decide_cancellation(cancellation_wish(idempotency=KEY), None, PROGRESS, None, now=NOW))
    second = accepted(decide_rescheduling(reschedule_wish(idempotency=KEY), None, PROGRESS, None, None, now=NOW))

    assert accepted(
        decide_cancellation(cancellation_wish(idempotency=KEY), answer_to(first), ended, None, now=after(1))
    ).acceptance.is_replay
    assert accepted(
        decide_rescheduling(reschedule_wish(idempotency=KEY), answer_to(second), ended, None, None, now=after(1))
    ).acceptance.is_replay


def test_refused_when_the_key_was_used_for_another_operation() -> None:
    first = accepted(decide_cancellation(cancellation_wish(idempotency=KEY), None, PROGRESS, None, now=NOW))
    other = reschedule_wish(idempotency=Idempotency(KEY.key, "patch"))

    decision = decide_rescheduling(other, answer_to(first), PROGRESS, None, None, now=NOW)

    assert refused(decision).kind is RefusalKind.KEY_REUSED


def test_key_lives_from_its_own_use_when_the_wish_was_pending_before() -> None:
    decision = accepted(decide_cancellation(cancellation_wish(idempotency=KEY), None, PROGRESS, WISHED, now=after(60)))

    assert answer_to(decision).accepted_at == NOW
    assert answer_to(decision).expires_at == after(60) + limits.IDEMPOTENCY_KEY_LIFETIME
