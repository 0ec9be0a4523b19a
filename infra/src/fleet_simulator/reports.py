"""What drones report, and how often. Pure.

A change of activity is always reported. In between, a drone under way reports its position every so often, and a parked
one only when its charge has changed by a step.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from fleet_simulator.flight import Drone, Phase, Rules
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often drones report."""

    interval: timedelta = timedelta(seconds=1)
    """Between the positions of a drone under way."""
    rate_per_s: float = 200.0
    """All positions together. With more drones under way than that, each reports less often."""
    charge_step_percent: float = 10.0

    def interval_for(self, drones_under_way: int) -> timedelta:
        """The time between two positions of one drone when so many are under way."""
        return max(self.interval, timedelta(seconds=drones_under_way / self.rate_per_s))


def activity_of(drone: Drone) -> DroneActivity:
    """What the drone says that it is doing. Loading counts as heading to the pickup: it is not over before."""
    match drone.phase:
        case Phase.PARKED | Phase.WAITING:
            return DroneActivity.IDLE if drone.is_charged else DroneActivity.CHARGING
        case Phase.TO_PICKUP | Phase.LOADING:
            return DroneActivity.HEADING_TO_PICKUP
        case Phase.TO_DROPOFF:
            return DroneActivity.HEADING_TO_DROPOFF
        case Phase.AT_DROPOFF:
            return DroneActivity.AT_DROPOFF
        case _:
            assert_never(drone.phase)


def report_of(drone: Drone, rules: Rules) -> DroneTelemetryReported:
    """The drone as it reports itself."""
    return DroneTelemetryReported(
        drone_id=drone.drone_id,
        delivery_id=drone.order.delivery_id if drone.order and drone.is_under_way else None,
        activity=activity_of(drone),
        location=drone.location,
        speed_mps=drone.design.cruise_speed_mps * rules.speed_factor if drone.is_airborne else 0.0,
        battery_percent=drone.battery_percent,
        observed_at=drone.observed_at,
    )


def is_due(drone: Drone, last: DroneTelemetryReported | None, interval: timedelta, cadence: Cadence) -> bool:
    """Whether the drone is to report again, after what it last reported."""
    if last is None or last.activity is not activity_of(drone):
        return True
    if drone.is_under_way:
        return _delivery_changed(drone, last) or drone.observed_at - last.observed_at >= interval
    charged_percent = drone.battery_percent - last.battery_percent
    is_full_now = drone.battery_percent >= 100 > last.battery_percent
    return last.delivery_id is not None or charged_percent >= cadence.charge_step_percent or is_full_now


def _delivery_changed(drone: Drone, last: DroneTelemetryReported) -> bool:
    return drone.order is not None and drone.order.delivery_id != last.delivery_id


def newest(reports: list[DroneTelemetryReported]) -> list[DroneTelemetryReported]:
    """Of the reports that could not be sent, those worth sending later: the last of each drone, delivery and activity.

    They come in the order of observation, so that the receivers see every drone move forward.
    """
    kept = {(report.drone_id, report.delivery_id, report.activity): report for report in reports}
    return sorted(kept.values(), key=lambda report: report.observed_at)
