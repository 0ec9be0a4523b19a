"""What the simulator asks of the services, over their public HTTP interfaces."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self
from uuid import UUID

import httpx
from pydantic import AwareDatetime, BaseModel, TypeAdapter

from fleet_simulator.fleet import Assignment
from fleet_simulator.flight import Design, Drone, Order
from fleet_simulator.outages import Refused, request
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, Location
from shared_contracts.fleet.v1 import DroneTelemetryReported

STAFF = {"X-Subject": "fleet-simulator", "X-Roles": "fleet"}
"""Who asks. Behind a gateway these come from the token."""
TIMEOUT_S = 10.0
PAGE_LENGTH = 500
UNDER_WAY = (
    DeliveryStage.CREATED,
    DeliveryStage.RESCHEDULED,
    DeliveryStage.HEADED_TO_PICKUP,
    DeliveryStage.HEADED_TO_DROPOFF,
)

_reports = TypeAdapter(list[DroneTelemetryReported])


class RegisteredDrone(BaseModel):
    """The part of the scheduler's drone that matters here."""

    drone_id: UUID
    payload_kg: float
    range_m: float
    cruise_speed_mps: float
    location: Location
    battery_percent: float
    observed_at: AwareDatetime

    def to_drone(self) -> Drone:
        return Drone(
            drone_id=self.drone_id,
            design=Design(self.payload_kg, self.range_m, self.cruise_speed_mps),
            location=self.location,
            battery_percent=self.battery_percent,
            observed_at=self.observed_at,
        )


class _DronePage(BaseModel):
    items: list[RegisteredDrone]
    next_after: UUID | None


class ScheduledDelivery(BaseModel):
    """The part of a delivery that has its drone that matters here."""

    delivery_id: UUID
    stage: DeliveryStage
    drone_id: UUID
    pickup: Location
    dropoff: Location
    pickup_time: AwareDatetime
    confirmation_required: ConfirmationType
    arrived_at: AwareDatetime | None

    def to_assignment(self) -> Assignment:
        order = Order(self.delivery_id, self.pickup, self.dropoff, self.pickup_time, self.confirmation_required)
        return Assignment(self.drone_id, order, self.stage, has_arrived=self.arrived_at is not None)


class _DeliveryPage(BaseModel):
    deliveries: list[ScheduledDelivery]
    next: str | None


class Services:
    """The drone scheduler and the delivery service. Every method raises Outage when they do not answer."""

    def __init__(self, scheduler: httpx.AsyncClient, delivery: httpx.AsyncClient) -> None:
        self._scheduler = scheduler
        self._delivery = delivery

    @classmethod
    @asynccontextmanager
    async def at(cls, scheduler_url: str, delivery_url: str) -> AsyncIterator[Self]:
        """Connections to both, closed at the end."""
        async with (
            httpx.AsyncClient(base_url=scheduler_url, headers=STAFF, timeout=TIMEOUT_S, trust_env=False) as scheduler,
            httpx.AsyncClient(base_url=delivery_url, headers=STAFF, timeout=TIMEOUT_S, trust_env=False) as delivery,
        ):
            yield cls(scheduler, delivery)

    async def register(self, drone: Drone) -> Drone:
        """Take the drone into the fleet. One that is in it already comes back where it is now."""
        body = {
            "payload_kg": drone.design.payload_kg,
            "range_m": drone.design.range_m,
            "cruise_speed_mps": drone.design.cruise_speed_mps,
            "location": drone.location.model_dump(),
            "battery_percent": drone.battery_percent,
        }
        response = await request(self._scheduler, "PUT", f"/api/v1/drones/{drone.drone_id}", json=body)
        return RegisteredDrone.model_validate_json(_accepted(response).content).to_drone()

    async def drones(self) -> list[Drone]:
        """The whole fleet."""
        drones: list[Drone] = []
        after: UUID | None = None
        while True:
            query = {"limit": str(PAGE_LENGTH)} | ({"after": str(after)} if after else {})
            response = await request(self._scheduler, "GET", "/api/v1/drones", params=query)
            page = _DronePage.model_validate_json(_accepted(response).content)
            drones += [item.to_drone() for item in page.items]
            if (after := page.next_after) is None:
                return drones

    async def assignments(self) -> list[Assignment]:
        """All deliveries that have a drone and have not ended."""
        assignments: list[Assignment] = []
        cursor: str | None = None
        while True:
            query = {"stage": ",".join(UNDER_WAY), "limit": str(PAGE_LENGTH)} | ({"cursor": cursor} if cursor else {})
            response = await request(self._delivery, "GET", "/api/v1/deliveries", params=query)
            page = _DeliveryPage.model_validate_json(_accepted(response).content)
            assignments += [delivery.to_assignment() for delivery in page.deliveries]
            if (cursor := page.next) is None:
                return assignments

    async def confirm(self, delivery_id: UUID, confirmation: ConfirmationType) -> None:
        """Confirm the handover as the recipient would. Raises Refused when that is not how or when to do it."""
        path = f"/api/v1/deliveries/{delivery_id}/confirmations"
        _accepted(await request(self._delivery, "POST", path, json={"type": confirmation}))

    async def report(self, reports: Sequence[DroneTelemetryReported]) -> None:
        """Hand reports to the delivery service, which passes them on."""
        content = _reports.dump_json(list(reports))
        headers = {"Content-Type": "application/json"}
        _accepted(
            await request(self._delivery, "POST", "/api/v1/deliveries/telemetry", content=content, headers=headers)
        )


def _accepted(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise Refused(response)
    return response
