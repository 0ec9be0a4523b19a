import pytest
from delivery_stories import (
    BASE,
    DEADLINE,
    DROPOFF,
    HALFWAY,
    NOON,
    NOTHING_YET,
    OTHER_DRONE_ID,
    PICKUP,
    Story,
    at_dropoff,
    cancelled,
    completed,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    headed_to_pickup,
    landed,
    leaving,
    minutes,
    on_board,
    scheduled,
    seconds,
    telemetry,
)

from delivery.domain.delivery import TrackingEventKind
from shared_contracts.delivery.v1 import DeliveryCompleted, DeliveryFailureReason
from shared_contracts.domain_types import ConfirmationType, DeliveryStage
from shared_contracts.fleet.v1 import DroneActivity

TO_PICKUP, TO_DROPOFF = DroneActivity.HEADING_TO_PICKUP, DroneActivity.HEADING_TO_DROPOFF


def test_stages_follow_the_drone() -> None:
    assert headed_to_pickup().delivery.stage is DeliveryStage.HEADED_TO_PICKUP
    assert headed_to_dropoff().delivery.stage is DeliveryStage.HEADED_TO_DROPOFF
    assert completed().told == [
        "DeliveryScheduled",
        "DeliveryHeadedToPickup",
        "DeliveryHeadedToDropoff",
        "DeliveryCompleted",
    ]


def test_both_facts_are_told_in_order_when_the_departure_was_not_seen() -> None:
    story = scheduled().hears(on_board())
    assert story.told[1:] == ["DeliveryHeadedToPickup", "DeliveryHeadedToDropoff"]


def test_all_facts_are_told_in_order_when_only_the_landing_was_seen() -> None:
    story = scheduled(ConfirmationType.NONE).hears(landed(), at=NOON + minutes(10))
    assert story.told[1:] == ["DeliveryHeadedToPickup", "DeliveryHeadedToDropoff", "DeliveryCompleted"]


def test_stages_do_not_go_back() -> None:
    story = headed_to_dropoff().hears(leaving(NOON + seconds(200)), at=NOON + seconds(200))
    assert story.told == headed_to_dropoff().told
    assert story.delivery.stage is DeliveryStage.HEADED_TO_DROPOFF
    again = at_dropoff().hears(on_board(NOON + seconds(700)), landed(NOON + seconds(710)), at=NOON + seconds(710))
    assert again.told == at_dropoff().told
    assert again.delivery.arrived_at == at_dropoff().delivery.arrived_at


def test_nothing_happens_when_another_drone_reports() -> None:
    stranger = telemetry(TO_DROPOFF, PICKUP, NOON + seconds(5), drone_id=OTHER_DRONE_ID)
    assert scheduled().hears(stranger, at=NOON + seconds(5)) == scheduled()


def test_nothing_happens_when_the_report_is_older_than_the_last() -> None:
    story = headed_to_dropoff()
    assert story.hears(leaving(), at=NOON + seconds(100)) == story


def test_nothing_happens_when_the_drone_is_not_booked_yet_or_the_delivery_unknown() -> None:
    waiting = NOTHING_YET.hears(drone_scheduled())
    assert waiting.hears(leaving()) == waiting
    assert NOTHING_YET.hears(leaving()) == NOTHING_YET


@pytest.mark.parametrize("story", [completed(), cancelled(), failed()], ids=["completed", "cancelled", "failed"])
def test_nothing_happens_when_the_delivery_has_ended(story: Story) -> None:
    assert story.hears(leaving(), on_board(), landed(), at=NOON + minutes(90)) == story


def test_a_repeated_report_changes_nothing_but_stays_the_last() -> None:
    assert headed_to_pickup().hears(leaving()) == headed_to_pickup()


def test_idle_and_charging_move_the_position_only() -> None:
    for activity in (DroneActivity.IDLE, DroneActivity.CHARGING):
        story = scheduled().hears(telemetry(activity, HALFWAY))
        assert story.delivery.stage is DeliveryStage.CREATED
        assert story.delivery.last_location == HALFWAY
        assert story.told == scheduled().told


def test_completed_when_it_lands_and_nobody_has_to_confirm() -> None:
    fact = completed().last
    assert isinstance(fact, DeliveryCompleted)
    assert fact.confirmation.type is ConfirmationType.NONE
    assert fact.confirmation.confirmed_at == NOON + seconds(600)
    assert fact.confirmation.location == DROPOFF


def test_waits_for_the_recipient_when_it_lands_and_a_picture_is_asked_for() -> None:
    story = at_dropoff()
    assert story.delivery.stage is DeliveryStage.HEADED_TO_DROPOFF
    assert story.delivery.arrived_at == NOON + seconds(600)
    assert story.tracking[-1].kind is TrackingEventKind.ARRIVED_AT_DROPOFF


def test_the_flight_is_summed_up_from_departure_to_end() -> None:
    flight = completed().last.flight
    assert flight.distance_m == pytest.approx(12_000, rel=1e-6)
    assert (flight.departed_at, flight.duration_s) == (NOON, 600)
    assert flight.last_location == DROPOFF


def test_distance_is_that_along_the_reported_positions() -> None:
    there = telemetry(TO_DROPOFF, HALFWAY, NOON + seconds(350))
    back = telemetry(TO_DROPOFF, PICKUP, NOON + seconds(600))
    story = headed_to_dropoff().hears(there, back, at=NOON + seconds(600))
    assert story.delivery.distance_flown_m == pytest.approx(2_000 + 5_000 + 5_000, rel=1e-6)


def test_nothing_counts_as_flown_when_the_drone_has_not_left() -> None:
    story = scheduled().hears(telemetry(DroneActivity.IDLE, BASE), telemetry(DroneActivity.IDLE, PICKUP))
    assert story.delivery.distance_flown_m == 0


def test_failed_in_flight_when_the_deadline_passes() -> None:
    story = headed_to_dropoff().waits_until(DEADLINE)
    assert story.last.reason is DeliveryFailureReason.DEADLINE_PASSED
    assert story.last.flight.distance_m == pytest.approx(2_000, rel=1e-6)


def test_failed_when_it_lands_at_the_deadline_or_later() -> None:
    story = headed_to_dropoff(ConfirmationType.NONE).hears(landed(DEADLINE), at=DEADLINE + seconds(1))
    assert story.told[-1] == "DeliveryFailed"
    assert story.last.reason is DeliveryFailureReason.DEADLINE_PASSED


def test_completed_when_it_landed_in_time_and_the_report_was_late() -> None:
    story = headed_to_dropoff(ConfirmationType.NONE).hears(landed(), at=DEADLINE + seconds(1))
    assert story.told[-1] == "DeliveryCompleted"


def test_later_reports_still_count_when_the_clock_of_the_drone_is_fast() -> None:
    from_the_future = leaving(NOON + minutes(30))
    story = scheduled().hears(from_the_future).hears(on_board(), at=NOON + seconds(100))
    assert story.told[-1] == "DeliveryHeadedToDropoff"
    assert story.delivery.departed_at == NOON


def test_reports_count_from_the_booking_on_when_the_clock_of_the_drone_is_slow() -> None:
    story = scheduled().hears(leaving(NOON - minutes(30)), at=NOON + seconds(1))
    assert story.delivery.departed_at == NOON
    assert story.hears(on_board(NOON - minutes(28)), at=NOON + seconds(100)).told[-1] == "DeliveryHeadedToDropoff"


def test_reports_of_the_same_moment_all_count() -> None:
    # As when a fast clock is cut off at the time of one transaction that handles several reports.
    story = scheduled().hears(leaving(NOON + seconds(1)), on_board(NOON + seconds(2)))
    assert story.told[-1] == "DeliveryHeadedToDropoff"


def test_history_keeps_a_position_every_ten_seconds_and_those_of_the_stages() -> None:
    story = scheduled()
    for second in range(95):
        story = story.hears(leaving(NOON + seconds(second)), at=NOON + seconds(second))
    kinds = [line.kind for line in story.tracking]
    assert kinds.count(TrackingEventKind.POSITION_REPORTED) == 9
    assert [line.sequence for line in story.tracking] == list(range(1, len(kinds) + 1))
    assert story.tracking[1].latitude == BASE.latitude
