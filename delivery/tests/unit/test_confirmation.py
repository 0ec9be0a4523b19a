import pytest
from delivery_stories import (
    DEADLINE,
    DROPOFF,
    HALFWAY,
    NOON,
    NOTHING_YET,
    Story,
    at_dropoff,
    cancelled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    landed,
    minutes,
    package_ready,
    scheduled,
)

from delivery.domain.delivery import Outcome
from delivery.domain.flying import ConfirmationRefusal, decide_confirmation
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location

IN_TIME = NOON + minutes(11)


def confirm(
    story: Story, confirmation: ConfirmationType = ConfirmationType.PICTURE, location: Location | None = None
) -> Outcome | ConfirmationRefusal | None:
    return decide_confirmation(story.delivery, confirmation, location=location, reference="photo 1", now=IN_TIME)


def confirmed(story: Story, location: Location | None = None) -> Story:
    required = story.delivery.confirmation_required
    assert required is not None
    outcome = confirm(story, required, location)
    assert isinstance(outcome, Outcome)
    return story.goes_on(outcome)


@pytest.mark.parametrize("required", [ConfirmationType.FINGERPRINT, ConfirmationType.PICTURE, ConfirmationType.VOICE])
def test_completed_when_the_right_type_is_given_at_the_dropoff(required: ConfirmationType) -> None:
    story = confirmed(headed_to_dropoff(required).hears(landed(), at=NOON + minutes(10)))
    assert story.told[-1] == "DeliveryCompleted"
    assert story.last.confirmation.type is required
    assert story.last.confirmation.confirmed_at == IN_TIME
    assert story.last.flight.ended_at == IN_TIME
    assert story.delivery.confirmation_reference == "photo 1"


def test_place_is_that_of_the_drone_when_none_is_given() -> None:
    assert confirmed(at_dropoff()).last.confirmation.location == DROPOFF
    assert confirmed(at_dropoff(), HALFWAY).last.confirmation.location == HALFWAY


@pytest.mark.parametrize("given", set(ConfirmationType) - {ConfirmationType.PICTURE})
def test_refused_when_the_type_is_wrong(given: ConfirmationType) -> None:
    for story in (scheduled(), at_dropoff(), confirmed(at_dropoff())):
        assert confirm(story, given) is ConfirmationRefusal.WRONG_TYPE


def test_refused_when_the_drone_is_not_at_the_dropoff() -> None:
    for story in (NOTHING_YET.hears(package_ready()), scheduled(), headed_to_pickup(), headed_to_dropoff()):
        assert confirm(story) is ConfirmationRefusal.NOT_AT_DROPOFF


def test_refused_when_the_deadline_has_passed() -> None:
    late = decide_confirmation(
        at_dropoff().delivery, ConfirmationType.PICTURE, location=None, reference=None, now=DEADLINE
    )
    assert late is ConfirmationRefusal.DEADLINE_PASSED


def test_refused_when_the_delivery_was_cancelled_or_failed() -> None:
    for story in (cancelled(), failed()):
        assert confirm(story) is ConfirmationRefusal.ALREADY_ENDED


def test_nothing_happens_when_it_is_confirmed_already() -> None:
    assert confirm(confirmed(at_dropoff())) is None
    assert confirmed(at_dropoff()).delivery.stage is DeliveryStage.COMPLETED
