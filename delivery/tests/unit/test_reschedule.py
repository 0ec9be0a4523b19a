import pytest
from delivery_stories import (
    DEADLINE,
    DRONE_ID,
    NOON,
    NOTHING_YET,
    RULES,
    Story,
    cancelled,
    completed,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    leaving,
    minutes,
    package_ready,
    reschedule,
    scheduled,
    seconds,
    story_of,
)

from shared_contracts.delivery.v1 import DeliveryRescheduled, RefusalReason
from shared_contracts.domain_types import DeliveryStage

LATER_PICKUP = NOON + minutes(60)
LATER_DEADLINE = NOON + minutes(180)


def test_rescheduled_with_the_same_drone_when_it_has_not_left() -> None:
    story = scheduled().hears(reschedule(LATER_PICKUP, LATER_DEADLINE))
    assert isinstance(story.last, DeliveryRescheduled)
    assert (story.last.pickup_time, story.last.deadline) == (LATER_PICKUP, LATER_DEADLINE)
    assert story.last.pickup_eta == LATER_PICKUP
    assert round((story.last.dropoff_eta - LATER_PICKUP).total_seconds()) == 500
    delivery = story.delivery
    assert (delivery.stage, delivery.drone_id) == (DeliveryStage.RESCHEDULED, DRONE_ID)
    assert (delivery.pickup_time, delivery.deadline, delivery.due_at) == (LATER_PICKUP, LATER_DEADLINE, LATER_DEADLINE)


def test_drone_is_expected_as_soon_as_it_can_be_there_when_the_new_pickup_time_is_sooner() -> None:
    now = NOON + minutes(1)
    fact = scheduled().hears(reschedule(NOON, LATER_DEADLINE), at=now).last
    assert [round((eta - now).total_seconds()) for eta in (fact.pickup_eta, fact.dropoff_eta)] == [100, 600]


def test_rescheduled_again_when_the_owner_asks_again() -> None:
    story = scheduled().hears(reschedule(), reschedule(NOON, DEADLINE))
    assert story.told == ["DeliveryScheduled", "DeliveryRescheduled", "DeliveryRescheduled"]
    assert story.delivery.deadline == DEADLINE


def test_rescheduled_delivery_flies_as_any_other() -> None:
    story = scheduled().hears(reschedule(), leaving())
    assert story.delivery.stage is DeliveryStage.HEADED_TO_PICKUP


def test_refused_when_the_drone_cannot_make_it() -> None:
    # It needs 600 s to the drop-off, and 500 s of them from the pickup on.
    for pickup_time, deadline in ((NOON, NOON + seconds(599)), (LATER_PICKUP, LATER_PICKUP + seconds(499))):
        story = scheduled().hears(reschedule(pickup_time, deadline))
        assert story.last.reason is RefusalReason.SCHEDULE_IMPOSSIBLE
        assert (story.last.pickup_time, story.last.deadline) == (pickup_time, deadline)
        assert (story.delivery.stage, story.delivery.deadline) == (DeliveryStage.CREATED, DEADLINE)


def test_refused_when_the_new_deadline_is_past() -> None:
    story = scheduled().hears(reschedule(NOON, NOON + minutes(30)), at=NOON + minutes(31))
    assert story.last.reason is RefusalReason.SCHEDULE_IMPOSSIBLE


@pytest.mark.parametrize("story", [headed_to_pickup(), headed_to_dropoff()], ids=["to_pickup", "to_dropoff"])
def test_refused_when_the_drone_has_left(story: Story) -> None:
    refused = story.hears(reschedule())
    assert refused.last.reason is RefusalReason.PICKUP_UNDER_WAY
    assert (refused.last.pickup_time, refused.last.deadline) == (LATER_PICKUP, LATER_DEADLINE)
    assert refused.delivery.deadline == DEADLINE


@pytest.mark.parametrize("story", [completed(), cancelled(), failed()], ids=["completed", "cancelled", "failed"])
def test_refused_when_the_delivery_has_ended(story: Story) -> None:
    refused = story.hears(reschedule(), at=DEADLINE)
    assert refused.last.reason is RefusalReason.ALREADY_ENDED
    assert (refused.last.pickup_time, refused.last.deadline) == (LATER_PICKUP, LATER_DEADLINE)
    assert refused.delivery.stage is story.delivery.stage


def test_takes_effect_at_the_join_when_it_comes_earlier() -> None:
    for early in (
        [reschedule(), package_ready(), drone_scheduled()],
        [drone_scheduled(), reschedule(), package_ready()],
        [package_ready(), reschedule(), drone_scheduled()],
    ):
        story = story_of(early)
        assert story.told == ["DeliveryScheduled", "DeliveryRescheduled"]
        assert story.last.pickup_eta == LATER_PICKUP
        assert story.delivery.deadline == LATER_DEADLINE
        assert story.delivery.kept_deadline is None


def test_the_last_one_counts_when_several_come_early() -> None:
    story = story_of([reschedule(deadline=DEADLINE), reschedule(), package_ready(), drone_scheduled()])
    assert story.told == ["DeliveryScheduled", "DeliveryRescheduled"]
    assert story.delivery.deadline == LATER_DEADLINE


def test_refused_at_the_join_when_the_booked_drone_cannot_make_it() -> None:
    story = story_of([reschedule(NOON, NOON + minutes(5)), package_ready(), drone_scheduled()])
    assert story.told == ["DeliveryScheduled", "DeliveryRescheduleRefused"]
    assert (story.last.pickup_time, story.last.deadline) == (NOON, NOON + minutes(5))
    assert story.delivery.stage is DeliveryStage.CREATED


def test_failed_when_nothing_but_a_reschedule_is_ever_heard() -> None:
    alone = NOTHING_YET.hears(reschedule())
    assert alone.told == []
    assert alone.waits_until(LATER_DEADLINE + RULES.drone_answer_grace).told == ["DeliveryFailed"]
