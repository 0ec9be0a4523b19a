"""Histories that the machine has found, told again as it told them, so that they stay mended."""

import pytest
from rehearsal.promises import Promises
from rehearsal.world import DELIVERIES, How, World

from delivery.domain.delivery import Delivery
from drone_scheduler.domain.bookings import Booking
from drone_scheduler.domain.fleet import Drone, DroneStatus
from shared_contracts.delivery.v1 import DeliveryCompleted
from shared_contracts.fleet.v1 import DroneActivity


def test_what_a_drone_flew_counts_when_it_was_grounded_just_after_it_had_left() -> None:
    """The staff grounds a drone before the scheduler has heard that it left, and its delivery is completed."""
    world = World()
    promises = Promises(world)
    world.request()
    world.settle()
    world.ground("drone 1")
    world.report("drone 1", DroneActivity.AT_DROPOFF, "delivery 1")
    for lane in [name for name in world.network.busy_lanes if "drone-telemetry" in name]:
        world.deliver(lane)
    world.come_to_an_end()
    promises.check_in_the_end()
    assert world.messages(DeliveryCompleted)
    assert world.table(Booking)[DELIVERIES["delivery 1"]].flown_distance_m is not None
    assert [one.status for one in world.table(Drone).values()] == [DroneStatus.GROUNDED]


def minutes_left_after_two_changes() -> float:
    """One of two processes of ingestion dies before it has published the first; the other goes on with the second."""
    world = World()
    promises = Promises(world)
    world.request()
    world.settle()
    world.reschedule("delivery 1", minutes=60, how=How.PARTNER_GOES_ON)
    world.reschedule("delivery 1", minutes=90)
    world.settle()
    promises.check_at_rest()
    return (world.table(Delivery)[DELIVERIES["delivery 1"]].deadline - world.now).total_seconds() / 60


def test_what_a_dead_process_has_committed_comes_before_what_the_next_one_commits() -> None:
    assert minutes_left_after_two_changes() == 90


def test_else_the_older_change_would_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "_finds_its_sessions", staticmethod(lambda *_: False))
    assert minutes_left_after_two_changes() == 60
