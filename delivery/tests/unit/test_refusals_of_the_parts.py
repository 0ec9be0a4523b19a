"""PackageRejected and DroneSchedulingFailed end a delivery until its package is on board."""

import pytest
from delivery_stories import (
    NOON,
    cancelled,
    completed,
    drone_released,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    minutes,
    no_drone,
    package_ready,
    package_rejected,
    package_withdrawn,
    scheduled,
    story_of,
)

from delivery.domain.delivery import TrackingEventKind
from shared_contracts.delivery.v1 import DeliveryFailureReason
from shared_contracts.domain_types import DeliveryStage
from shared_contracts.drone_scheduler.v1 import DroneSchedulingFailureReason
from shared_contracts.package_service.v1 import PackageRejectionReason


def test_failed_when_the_package_is_rejected_first() -> None:
    story = story_of([package_rejected(), drone_scheduled()])
    assert story.told == ["DeliveryFailed"]
    assert story.last.reason is DeliveryFailureReason.PACKAGE_TOO_HEAVY
    assert story.last.description == "A Small package weighs at most 2 kg."


def test_told_in_the_same_words_when_they_are_the_longest_allowed() -> None:
    longest = "x" * 500
    for refusal in (package_rejected(), no_drone()):
        story = story_of([type(refusal).model_validate(refusal.model_dump() | {"description": longest})])
        assert story.last.description == longest


def test_failed_when_the_package_is_rejected_after_the_drone_was_booked() -> None:
    story = story_of([drone_scheduled(), package_rejected()])
    assert story.told == ["DeliveryFailed"]
    assert story.delivery.stage is DeliveryStage.FAILED


def test_failed_when_there_is_no_drone_before_or_after_the_package() -> None:
    for messages in ([no_drone(), package_ready()], [package_ready(), no_drone()]):
        story = story_of(messages)
        assert story.told == ["DeliveryFailed"]
        assert story.last.reason is DeliveryFailureReason.NO_DRONE_AVAILABLE


def test_failed_once_when_both_refuse() -> None:
    assert story_of([package_rejected(), no_drone(), package_rejected()]).told == ["DeliveryFailed"]


def test_failed_when_the_booked_drone_is_grounded_before_the_pickup() -> None:
    grounded = no_drone(reason=DroneSchedulingFailureReason.DRONE_GROUNDED)
    assert scheduled().hears(grounded).last.reason is DeliveryFailureReason.DRONE_GROUNDED
    in_the_air = headed_to_pickup().hears(grounded)
    assert in_the_air.last.reason is DeliveryFailureReason.DRONE_GROUNDED
    assert in_the_air.last.flight is not None


def test_nothing_happens_when_the_package_is_on_board_or_the_delivery_has_ended() -> None:
    for story in (headed_to_dropoff(), completed(), cancelled(), failed()):
        assert story.hears(package_rejected(), no_drone()) == story


@pytest.mark.parametrize("reason", PackageRejectionReason)
def test_every_rejection_has_a_reason_for_the_customer(reason: PackageRejectionReason) -> None:
    story = story_of([package_rejected().model_copy(update={"reason": reason})])
    assert story.last.reason in DeliveryFailureReason


@pytest.mark.parametrize("reason", DroneSchedulingFailureReason)
def test_every_missing_drone_has_a_reason_for_the_customer(reason: DroneSchedulingFailureReason) -> None:
    assert story_of([no_drone(reason=reason)]).last.reason == reason.value


def test_compensation_is_noted_once() -> None:
    story = failed().hears(package_withdrawn(), drone_released(), at=NOON + minutes(121))
    assert story.delivery.package_withdrawn_at == NOON + minutes(121)
    assert story.delivery.drone_released_at == NOON + minutes(121)
    assert [line.kind for line in story.tracking[-2:]] == [
        TrackingEventKind.PACKAGE_WITHDRAWN,
        TrackingEventKind.DRONE_RELEASED,
    ]
    assert story.told == failed().told
    assert story.hears(drone_released(), package_withdrawn()) == story


def test_nothing_is_noted_when_the_delivery_is_unknown() -> None:
    assert story_of([package_withdrawn(), drone_released()]).state is None
