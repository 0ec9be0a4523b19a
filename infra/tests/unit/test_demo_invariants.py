"""The judge is judged: evidence in which all is well, and then one thing after the other broken."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest

from demo.evidence import BookingFact, DeliveryFact, DroneFact, Evidence, PackageFact, RequestFact, WishFact
from demo.invariants import INVARIANTS, Verdict, judge
from demo.listening import Notification, Published
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_contracts.message import DeliveryMessage
from shared_contracts.package_service.v1 import PackageReady, PackageWithdrawn

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLOWN, REFUSED, CALLED_OFF, EARLY = (UUID(int=number) for number in (1, 2, 3, 4))
DRONE, OTHER_DRONE = UUID(int=101), UUID(int=102)
WISH = UUID(int=201)
OWNER = "alice"
T = TypeVar("T")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def delivery(delivery_id: UUID, stage: str, reason: str | None = None, **changes: Any) -> DeliveryFact:
    fact = DeliveryFact(
        delivery_id=delivery_id,
        owner_id=OWNER,
        stage=stage,
        reason=reason,
        drone_id=None,
        departed_at=None,
        ended_at=after(60),
        distance_flown_m=0.0,
        is_package_withdrawn=False,
        is_drone_released=False,
        ends_recorded=1,
    )
    return replace(fact, **changes)


def booking(delivery_id: UUID, status: str, **changes: Any) -> BookingFact:
    fact = BookingFact(
        delivery_id=delivery_id,
        owner_id=OWNER,
        status=status,
        failure_reason=None,
        ended_at=after(60),
        flown_distance_m=None,
        flown_duration_s=None,
    )
    return replace(fact, **changes)


def said(number: int, message: type[DeliveryMessage], delivery_id: UUID) -> Published:
    return Published(UUID(int=1_000 + number), message.message_type, delivery_id)


GOOD = Evidence(
    accepted=frozenset({FLOWN, REFUSED, CALLED_OFF, EARLY}),
    requests=(
        RequestFact(FLOWN, OWNER, "Completed", None),
        RequestFact(REFUSED, OWNER, "Failed", "package_too_heavy"),
        RequestFact(CALLED_OFF, OWNER, "Cancelled", "customer_request"),
        RequestFact(EARLY, OWNER, "Cancelled", "customer_request"),
    ),
    deliveries=(
        delivery(FLOWN, "Completed", drone_id=DRONE, departed_at=NOON, distance_flown_m=1_500.0),
        delivery(REFUSED, "Failed", "package_too_heavy", is_drone_released=True),
        delivery(
            CALLED_OFF,
            "Cancelled",
            "customer_request",
            drone_id=DRONE,
            departed_at=after(70),
            ended_at=after(100),
            distance_flown_m=400.0,
            is_package_withdrawn=True,
            is_drone_released=True,
        ),
        delivery(EARLY, "Cancelled", "customer_request"),
    ),
    packages=(
        PackageFact(FLOWN, "Delivered", is_tombstone=False),
        PackageFact(REFUSED, "Rejected", is_tombstone=False),
        PackageFact(CALLED_OFF, "Withdrawn", is_tombstone=False),
        PackageFact(EARLY, "Withdrawn", is_tombstone=True),
    ),
    bookings=(
        booking(FLOWN, "Completed", flown_distance_m=1_500.0, flown_duration_s=60.0),
        booking(REFUSED, "Released"),
        booking(CALLED_OFF, "Released", ended_at=after(100), flown_distance_m=400.0, flown_duration_s=30.0),
        booking(EARLY, "Withdrawn"),
    ),
    drones=(DroneFact(DRONE, "Free", None), DroneFact(OTHER_DRONE, "Charging", None)),
    wishes=(WishFact(WISH, FLOWN, "Completed"), WishFact(WISH, FLOWN, "HeadedToPickup")),
    published=frozenset(
        {
            said(1, PackageReady, FLOWN),
            said(2, DroneScheduled, FLOWN),
            said(3, DeliveryCompleted, FLOWN),
            said(4, DroneScheduled, REFUSED),
            said(5, DeliveryFailed, REFUSED),
            said(6, DroneReleased, REFUSED),
            said(7, PackageReady, CALLED_OFF),
            said(8, DroneScheduled, CALLED_OFF),
            said(9, DeliveryCancelled, CALLED_OFF),
            said(10, PackageWithdrawn, CALLED_OFF),
            said(11, DroneReleased, CALLED_OFF),
            said(12, DeliveryCancelled, EARLY),
        }
    ),
    notifications=frozenset({Notification(UUID(int=301), WISH, FLOWN, "Completed")}),
    outbox={"ingestion": 0, "delivery": 0},
    held={"ingestion": 0, "delivery": 0},
    queues={"delivery.delivery.0": 0},
    dead_letters={"delivery.delivery.dead-letters": 0},
)


def swap(facts: Iterable[T], index: int, **changes: Any) -> tuple[T, ...]:
    changed = list(facts)
    changed[index] = replace(changed[index], **changes)  # type: ignore[type-var]
    return tuple(changed)


def failed(evidence: Evidence) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in judge(evidence) if not verdict.holds}


def test_everything_holds_when_all_is_well() -> None:
    assert failed(GOOD) == {}


def test_nothing_fails_when_there_is_nothing() -> None:
    assert failed(Evidence()) == {}


BROKEN = [
    ("accepted requests are kept", {"accepted": GOOD.accepted | {UUID(int=9)}}),
    ("each request ended once", {"deliveries": GOOD.deliveries[1:]}),
    ("each request ended once", {"deliveries": swap(GOOD.deliveries, 3, stage="Created")}),
    ("each request ended once", {"deliveries": swap(GOOD.deliveries, 0, ends_recorded=2)}),
    ("each request ended once", {"published": GOOD.published | {said(20, DeliveryFailed, FLOWN)}}),
    ("each request ended once", {"published": GOOD.published - {said(12, DeliveryCancelled, EARLY)}}),
    ("ingestion and delivery agree", {"requests": swap(GOOD.requests, 0, stage="Failed")}),
    ("ingestion and delivery agree", {"requests": swap(GOOD.requests, 1, reason="no_suitable_drone")}),
    ("ingestion and delivery agree", {"requests": GOOD.requests[1:]}),
    ("parts agree with the outcome", {"packages": swap(GOOD.packages, 0, status="Withdrawn")}),
    ("parts agree with the outcome", {"bookings": swap(GOOD.bookings, 3, status="Completed")}),
    ("no drone is held", {"drones": swap(GOOD.drones, 0, delivery_id=FLOWN)}),
    ("no drone is held", {"drones": swap(GOOD.drones, 1, status="Booked")}),
    ("all bookings have ended", {"bookings": swap(GOOD.bookings, 1, status="InFlight")}),
    ("all bookings have ended", {"bookings": swap(GOOD.bookings, 3, status="Waiting")}),
    ("all bookings have ended", {"bookings": GOOD.bookings[:3]}),
    ("no package is left", {"packages": swap(GOOD.packages, 2, status="Ready")}),
    ("no package is left", {"packages": swap(GOOD.packages, 2, status="Described")}),
    ("no package is left", {"packages": GOOD.packages[:3]}),
    ("compensated exactly once", {"published": GOOD.published | {said(20, PackageWithdrawn, CALLED_OFF)}}),
    ("compensated exactly once", {"published": GOOD.published - {said(10, PackageWithdrawn, CALLED_OFF)}}),
    ("compensated exactly once", {"published": GOOD.published | {said(20, DroneReleased, FLOWN)}}),
    ("compensated exactly once", {"published": GOOD.published - {said(6, DroneReleased, REFUSED)}}),
    ("compensated exactly once", {"published": GOOD.published | {said(20, DroneScheduled, FLOWN)}}),
    ("compensated exactly once", {"deliveries": swap(GOOD.deliveries, 1, is_drone_released=False)}),
    ("compensated exactly once", {"packages": swap(GOOD.packages, 3, is_tombstone=False)}),
    ("flights follow each other", {"deliveries": swap(GOOD.deliveries, 2, departed_at=after(59))}),
    ("utilization equals the flights", {"bookings": swap(GOOD.bookings, 0, flown_distance_m=1_500.1)}),
    ("utilization equals the flights", {"bookings": swap(GOOD.bookings, 0, flown_duration_s=61.0)}),
    ("utilization equals the flights", {"bookings": swap(GOOD.bookings, 2, flown_distance_m=None)}),
    ("utilization equals the flights", {"bookings": swap(GOOD.bookings, 2, owner_id="bob")}),
    ("who asked was told once", {"notifications": frozenset()}),
    (
        "who asked was told once",
        {"notifications": GOOD.notifications | {Notification(UUID(int=302), WISH, FLOWN, "Completed")}},
    ),
    ("outboxes are empty", {"outbox": {"ingestion": 3}}),
    ("no message is held", {"held": {"delivery": 1}}),
    ("queues are empty", {"queues": {"delivery.delivery.0": 2}}),
    ("queues are empty", {"queues": {"delivery.delivery.0": None}}),
    ("nothing was set aside", {"dead_letters": {"delivery.delivery.dead-letters": 1}}),
]


@pytest.mark.parametrize(("name", "change"), BROKEN)
def test_violation_is_reported(name: str, change: dict[str, Any]) -> None:
    verdicts = failed(replace(GOOD, **change))
    assert name in verdicts
    assert verdicts[name].offenders


def test_every_invariant_is_seen_to_fail() -> None:
    assert {name for name, _ in BROKEN} == {invariant.name for invariant in INVARIANTS}


def test_verdict_names_a_few_offenders_and_counts_the_others() -> None:
    outbox = {f"service-{number}": 1 for number in range(8)}
    verdict = failed(replace(GOOD, outbox=outbox))["outboxes are empty"]
    assert verdict.details.endswith("service-4 has 1; and 3 more")
    assert str(verdict).startswith("FAILED: outboxes are empty (8 of 8): service-0 has 1")


def test_every_invariant_says_what_it_is_about() -> None:
    for invariant in INVARIANTS:
        assert invariant.sentence.endswith(".")
        assert "\n" not in invariant.sentence


def test_same_message_heard_twice_counts_once() -> None:
    again = frozenset([*GOOD.published, said(10, PackageWithdrawn, CALLED_OFF)])
    assert failed(replace(GOOD, published=again)) == {}


def test_drone_that_was_grounded_is_not_released() -> None:
    grounded = replace(
        GOOD,
        requests=swap(GOOD.requests, 1, reason="drone_grounded"),
        deliveries=swap(
            GOOD.deliveries, 1, reason="drone_grounded", is_drone_released=False, is_package_withdrawn=True
        ),
        packages=swap(GOOD.packages, 1, status="Withdrawn"),
        bookings=swap(GOOD.bookings, 1, status="Refused", failure_reason="drone_grounded"),
        published=(GOOD.published - {said(6, DroneReleased, REFUSED)})
        | {said(20, PackageReady, REFUSED), said(21, PackageWithdrawn, REFUSED)},
    )
    assert failed(grounded) == {}
