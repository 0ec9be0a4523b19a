"""POST: what is accepted, what is refused, and what an idempotency key stands for."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.domain import limits
from ingestion.domain.commands import RefusalKind, SubmitDelivery, decide_submission, ground_distance_m
from ingestion.domain.progress import DeliveryProgress, DeliveryRequest
from shared_contracts.domain_types import DeliveryStage, Location
from shared_contracts.ingestion.v1 import DeliveryRequested

from .examples import (
    DELIVERY,
    KEY,
    LOUVRE,
    NOW,
    OPERA,
    OWNER,
    accepted,
    after,
    answer_to,
    refused,
    stored,
    submission,
)


def submit(command: SubmitDelivery) -> list[tuple[str, str]]:
    """The field errors of a submission, by field and code."""
    refusal = refused(decide_submission(command, None, now=NOW))
    assert refusal.kind is RefusalKind.INVALID
    return [(error.field, error.code) for error in refusal.errors]


def test_accepted_when_everything_is_possible() -> None:
    decision = accepted(decide_submission(submission(), None, now=NOW))

    assert decision.acceptance.delivery_id == DELIVERY
    assert decision.acceptance.accepted_at == NOW
    assert not decision.acceptance.is_replay
    assert decision.message == DeliveryRequested(
        delivery_id=DELIVERY,
        owner_id=OWNER,
        pickup=OPERA,
        dropoff=LOUVRE,
        pickup_time=after(10),
        deadline=after(60),
        expedited=False,
        confirmation_required=submission().confirmation_required,
        package=submission().package,
    )


def test_request_keeps_what_was_asked_for_when_accepted() -> None:
    request = stored(accepted(decide_submission(submission(), None, now=NOW)), DeliveryRequest)

    assert (request.owner_id, request.accepted_at) == (OWNER, NOW)
    assert (request.pickup_latitude, request.pickup_longitude, request.pickup_altitude_m) == (48.8719, 2.3316, 40)
    assert (request.dropoff_latitude, request.dropoff_longitude, request.dropoff_altitude_m) == (48.8606, 2.3376, 35)
    assert (request.package_size, request.package_weight_kg, request.package_tag) == ("Small", 1.5, "books")


def test_progress_is_pending_and_due_after_the_grace_when_accepted() -> None:
    progress = stored(accepted(decide_submission(submission(), None, now=NOW)), DeliveryProgress)

    assert progress.stage is DeliveryStage.PENDING
    assert progress.due_at == after(60) + limits.OUTCOME_GRACE


def test_times_are_kept_in_utc_when_given_in_another_zone() -> None:
    zone = timezone(timedelta(hours=2))
    command = submission(pickup_time=after(10).astimezone(zone), deadline=after(60).astimezone(zone))

    request = stored(accepted(decide_submission(command, None, now=NOW)), DeliveryRequest)

    assert request.pickup_time.utcoffset() == timedelta(0)
    assert (request.pickup_time, request.deadline) == (after(10), after(60))


def test_accepted_when_the_pickup_time_is_past_but_the_deadline_is_not() -> None:
    accepted(decide_submission(submission(pickup_time=after(-30)), None, now=NOW))


@pytest.mark.parametrize("late_by", [timedelta(0), timedelta(seconds=1), timedelta(days=3)])
def test_refused_when_the_deadline_is_not_in_the_future(late_by: timedelta) -> None:
    command = submission(pickup_time=NOW - timedelta(days=4), deadline=NOW - late_by)

    assert submit(command) == [("deadline", "in_the_past")]


@pytest.mark.parametrize("early_by", [timedelta(0), timedelta(microseconds=1), timedelta(minutes=5)])
def test_refused_when_the_deadline_is_not_after_the_pickup_time(early_by: timedelta) -> None:
    assert submit(submission(deadline=after(10) - early_by)) == [("deadline", "not_after_pickup_time")]


def test_refused_when_the_pickup_is_too_far_ahead() -> None:
    latest = NOW + limits.PICKUP_AHEAD_MAX
    too_late = latest + timedelta(seconds=1)

    accepted(decide_submission(submission(pickup_time=latest, deadline=too_late), None, now=NOW))
    assert submit(submission(pickup_time=too_late, deadline=too_late + timedelta(hours=1))) == [
        ("pickup_time", "too_far_ahead")
    ]


def test_refused_when_the_deadline_is_too_long_after_the_pickup_time() -> None:
    latest = after(10) + limits.DELIVERY_WINDOW_MAX

    accepted(decide_submission(submission(deadline=latest), None, now=NOW))
    assert submit(submission(deadline=latest + timedelta(seconds=1))) == [("deadline", "too_long_after_pickup_time")]


def test_refused_when_the_dropoff_is_the_pickup() -> None:
    assert submit(submission(dropoff=OPERA)) == [("dropoff", "same_as_pickup")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Location(latitude=10, longitude=180), Location(latitude=10, longitude=-180)),
        (Location(latitude=90, longitude=12), Location(latitude=90, longitude=-77)),
        (Location(latitude=1, longitude=1, altitude_m=0), Location(latitude=1, longitude=1, altitude_m=80)),
    ],
    ids=["date line", "pole", "above each other"],
)
def test_refused_when_two_coordinates_name_one_place(one: Location, other: Location) -> None:
    assert submit(submission(pickup=one, dropoff=other)) == [("dropoff", "same_as_pickup")]


def test_every_wrong_field_is_named_when_several_are_wrong() -> None:
    assert submit(submission(dropoff=OPERA, pickup_time=after(-10), deadline=after(-20))) == [
        ("deadline", "in_the_past"),
        ("deadline", "not_after_pickup_time"),
        ("dropoff", "same_as_pickup"),
    ]


def test_same_answer_when_the_key_and_the_body_are_the_same() -> None:
    first = accepted(decide_submission(submission(idempotency=KEY), None, now=NOW))

    again = accepted(decide_submission(submission(idempotency=KEY), answer_to(first), now=after(5)))

    assert again.acceptance.is_replay
    assert again.acceptance.delivery_id == first.acceptance.delivery_id
    assert again.acceptance.accepted_at == first.acceptance.accepted_at
    assert again.states == ()
    assert again.message is None


def test_same_answer_when_the_deadline_has_passed_since() -> None:
    first = accepted(decide_submission(submission(idempotency=KEY), None, now=NOW))

    again = accepted(decide_submission(submission(idempotency=KEY), answer_to(first), now=after(120)))

    assert again.acceptance.is_replay


def test_refused_when_the_key_was_used_for_another_body() -> None:
    first = accepted(decide_submission(submission(idempotency=KEY), None, now=NOW))
    other = submission(idempotency=type(KEY)(KEY.key, "post of another body"))

    assert refused(decide_submission(other, answer_to(first), now=NOW)).kind is RefusalKind.KEY_REUSED


def test_accepted_anew_when_the_key_has_expired() -> None:
    first = accepted(decide_submission(submission(idempotency=KEY), None, now=NOW))
    expired_at = NOW + limits.IDEMPOTENCY_KEY_LIFETIME
    command = submission(
        idempotency=KEY, pickup_time=expired_at + timedelta(hours=1), deadline=expired_at + timedelta(hours=2)
    )

    again = accepted(decide_submission(command, answer_to(first), now=expired_at))

    assert not again.acceptance.is_replay
    assert answer_to(again).expires_at == expired_at + limits.IDEMPOTENCY_KEY_LIFETIME


def test_nothing_is_remembered_when_no_key_was_given() -> None:
    decision = accepted(decide_submission(submission(), None, now=NOW))

    assert [type(state) for state in decision.states] == [DeliveryRequest, DeliveryProgress]


places = st.builds(Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))


@given(one=places, other=places)
def test_distance_is_a_metric_when_places_are_anywhere(one: Location, other: Location) -> None:
    distance_m = ground_distance_m(one, other)

    assert 0 <= distance_m <= 20_016_000
    assert distance_m == pytest.approx(ground_distance_m(other, one))
    assert ground_distance_m(one, one) == 0


@given(pickup=st.datetimes(), deadline=st.datetimes(), offset_minutes=st.integers(-1439, 1439))
def test_accepted_or_refused_but_never_an_error_when_times_are_anywhere(
    pickup: "object", deadline: "object", offset_minutes: int
) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    command = submission(pickup_time=pickup.replace(tzinfo=zone), deadline=deadline.replace(tzinfo=zone))  # type: ignore[attr-defined]

    decide_submission(command, None, now=NOW)
