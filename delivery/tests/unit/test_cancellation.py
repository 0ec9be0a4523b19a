import pytest
from delivery_stories import (
    BASE,
    DEADLINE,
    DRONE_ID,
    NOON,
    NOTHING_YET,
    Story,
    at_dropoff,
    cancellation,
    cancelled,
    completed,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    landed,
    minutes,
    no_outcome,
    package_ready,
    reschedule,
    scheduled,
    story_of,
)

from shared_contracts.delivery.v1 import DeliveryCancellationRefused, DeliveryFailureReason, RefusalReason
from shared_contracts.domain_types import ConfirmationType, DeliveryStage


def test_cancelled_when_it_overtakes_everything() -> None:
    story = story_of([cancellation(), package_ready(), drone_scheduled()])
    assert story.told == ["DeliveryCancelled"]
    assert story.delivery.stage is DeliveryStage.CANCELLED
    assert story.last.flight is None


def test_cancelled_when_it_comes_between_the_answers() -> None:
    for first, second in ((package_ready(), drone_scheduled()), (drone_scheduled(), package_ready())):
        story = story_of([first, cancellation(), second])
        assert story.told == ["DeliveryCancelled"]


def test_cancelled_when_scheduled_or_rescheduled() -> None:
    assert scheduled().hears(cancellation()).told == ["DeliveryScheduled", "DeliveryCancelled"]
    assert scheduled().hears(reschedule(), cancellation()).told[-1] == "DeliveryCancelled"


def test_cancelled_with_the_flight_when_the_drone_has_left() -> None:
    story = headed_to_pickup().hears(cancellation(), at=NOON + minutes(1))
    flight = story.last.flight
    assert (flight.drone_id, flight.departed_at, flight.ended_at) == (DRONE_ID, NOON, NOON + minutes(1))
    assert flight.last_location == BASE


def test_refused_when_the_package_is_on_board() -> None:
    for story in (headed_to_dropoff(), at_dropoff()):
        refused = story.hears(cancellation(), at=NOON + minutes(10))
        assert isinstance(refused.last, DeliveryCancellationRefused)
        assert refused.last.reason is RefusalReason.PACKAGE_ON_BOARD
        assert refused.delivery.stage is DeliveryStage.HEADED_TO_DROPOFF


def test_the_delivery_goes_on_when_the_cancellation_was_refused() -> None:
    story = headed_to_dropoff(ConfirmationType.NONE).hears(cancellation(), landed(), at=NOON + minutes(10))
    assert story.told[-2:] == ["DeliveryCancellationRefused", "DeliveryCompleted"]


@pytest.mark.parametrize("story", [completed(), failed()], ids=["completed", "failed"])
def test_refused_when_the_delivery_has_ended_otherwise(story: Story) -> None:
    refused = story.hears(cancellation(), at=DEADLINE)
    assert refused.last.reason is RefusalReason.ALREADY_ENDED
    assert refused.last.stage is story.delivery.stage
    assert refused.delivery.stage is story.delivery.stage


def test_nothing_happens_when_it_is_cancelled_already() -> None:
    assert cancelled().hears(cancellation(), cancellation()) == cancelled()


def test_failed_when_ingestion_heard_of_no_outcome() -> None:
    waiting = story_of([package_ready()]).hears(no_outcome(), at=DEADLINE)
    assert waiting.last.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME
    flying = headed_to_dropoff().hears(no_outcome(), at=DEADLINE)
    assert flying.last.reason is DeliveryFailureReason.DEADLINE_PASSED
    assert flying.last.flight is not None


def test_nothing_happens_when_ingestion_does_not_know_of_the_later_deadline_yet() -> None:
    story = scheduled().hears(reschedule(deadline=DEADLINE + minutes(60)))
    assert story.hears(no_outcome(), at=DEADLINE + minutes(1)) == story


@pytest.mark.parametrize("story", [completed(), cancelled(), failed()], ids=["completed", "cancelled", "failed"])
def test_the_same_end_is_told_again_when_ingestion_missed_it(story: Story) -> None:
    again = story.hears(no_outcome(), at=DEADLINE + minutes(5))
    assert again.messages == (*story.messages, story.last)
    assert again.delivery == story.delivery


def test_tombstone_ends_as_failed_when_ingestion_asks_first() -> None:
    story = NOTHING_YET.hears(no_outcome(), cancellation())
    assert story.told == ["DeliveryFailed", "DeliveryCancellationRefused"]
