"""The simulator's loops, with services that are played by objects in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from fleet_simulator.designs import COURIER
from fleet_simulator.fleet import Assignment
from fleet_simulator.flight import Drone, Order, Rules
from fleet_simulator.geography import DEFAULT_AREA, place_at
from fleet_simulator.outages import Outage, Refused
from fleet_simulator.recipient import WillingRecipient
from fleet_simulator.simulator import FleetSimulator, Pace
from shared_contracts.domain_types import ConfirmationType, DeliveryStage
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported

PACE = Pace(tick_s=0.01, look_s=0.02, handover_s=0.0, outage_limit_s=30.0)
RULES = Rules(speed_factor=10_000)
HOME = DEFAULT_AREA.center
DRONE_ID, DELIVERY_ID = UUID(int=1), UUID(int=2)
DELIVERY_PATH = [DroneActivity.HEADING_TO_PICKUP, DroneActivity.HEADING_TO_DROPOFF, DroneActivity.AT_DROPOFF]


@dataclass
class Suite:
    """The scheduler and the delivery service, with one drone and one delivery, and the way that reports take."""

    stage: DeliveryStage = DeliveryStage.CREATED
    has_arrived: bool = False
    confirmations: list[ConfirmationType] = field(default_factory=list)
    received: list[DroneTelemetryReported] = field(default_factory=list)
    failures: int = 0
    """How many of the next calls fail."""

    def fail_perhaps(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise Outage("played")

    async def register(self, drone: Drone) -> Drone:
        return drone

    async def drones(self) -> list[Drone]:
        self.fail_perhaps()
        return [Drone(DRONE_ID, COURIER, HOME, 100, datetime.now(UTC))]

    async def assignments(self) -> list[Assignment]:
        self.fail_perhaps()
        if self.stage.is_terminal:
            return []
        pickup = place_at(HOME, 1, 900)
        order = Order(DELIVERY_ID, pickup, place_at(pickup, 2, 900), datetime.now(UTC), ConfirmationType.PICTURE)
        return [Assignment(DRONE_ID, order, self.stage, self.has_arrived)]

    async def confirm(self, delivery_id: UUID, confirmation: ConfirmationType) -> None:
        self.fail_perhaps()
        assert delivery_id == DELIVERY_ID
        if not self.has_arrived:
            request = httpx.Request("POST", "http://delivery/confirmations")
            raise Refused(httpx.Response(409, json={"type": "problems/drone-not-at-dropoff"}, request=request))
        self.confirmations.append(confirmation)
        self.stage = DeliveryStage.COMPLETED

    async def send(self, reports: Sequence[DroneTelemetryReported]) -> None:
        self.fail_perhaps()
        self.received += reports
        self.has_arrived |= any(report.activity is DroneActivity.AT_DROPOFF for report in reports)

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def activities(self) -> list[DroneActivity]:
        """What was reported of the delivery, each activity once."""
        return list(dict.fromkeys(report.activity for report in self.received if report.delivery_id == DELIVERY_ID))


@asynccontextmanager
async def flying(suite: Suite) -> AsyncIterator[FleetSimulator]:
    recipient = WillingRecipient(suite, outage_limit_s=30.0)  # type: ignore[arg-type]
    simulator = FleetSimulator(suite, suite, recipient, rules=RULES, pace=PACE)  # type: ignore[arg-type]
    run = asyncio.create_task(simulator.run())
    try:
        yield simulator
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run


async def completed(suite: Suite) -> None:
    async with asyncio.timeout(20):
        while suite.stage is not DeliveryStage.COMPLETED:
            await asyncio.sleep(0.01)


async def test_delivery_is_flown_and_confirmed_by_a_drone_that_the_simulator_did_not_bring() -> None:
    suite = Suite()
    async with flying(suite) as simulator:
        await completed(suite)
        assert DRONE_ID in simulator.fleet
    assert suite.activities == DELIVERY_PATH
    assert suite.confirmations == [ConfirmationType.PICTURE]


async def test_delivery_is_flown_when_services_and_broker_fail_meanwhile() -> None:
    suite = Suite(failures=3)
    async with flying(suite) as simulator:
        for _ in range(3):
            await asyncio.sleep(0.02)
            suite.failures += 1
        await completed(suite)
        assert simulator.log.outages > 0
    assert suite.activities == DELIVERY_PATH
    assert suite.confirmations == [ConfirmationType.PICTURE]
    assert [report.observed_at for report in suite.received] == sorted(report.observed_at for report in suite.received)


async def test_flight_goes_on_at_the_dropoff_when_the_simulator_is_started_again() -> None:
    suite = Suite(stage=DeliveryStage.HEADED_TO_DROPOFF, has_arrived=True)
    async with flying(suite):
        await completed(suite)
    assert DroneActivity.HEADING_TO_PICKUP not in suite.activities


async def test_simulator_gives_up_when_an_outage_lasts_too_long() -> None:
    suite = Suite(failures=1_000_000)
    recipient = WillingRecipient(suite, outage_limit_s=0.2)  # type: ignore[arg-type]
    pace = Pace(tick_s=0.01, look_s=0.01, outage_limit_s=0.2)
    simulator = FleetSimulator(suite, suite, recipient, rules=RULES, pace=pace)  # type: ignore[arg-type]
    with pytest.raises(Outage, match="played"):
        await asyncio.wait_for(simulator.run(), timeout=10)


async def test_drone_lands_when_its_delivery_is_cancelled() -> None:
    suite = Suite(stage=DeliveryStage.HEADED_TO_DROPOFF, has_arrived=False)
    async with flying(suite) as simulator:
        async with asyncio.timeout(20):
            while simulator.fleet.under_way == 0:
                await asyncio.sleep(0.005)
            suite.stage = DeliveryStage.CANCELLED
            while simulator.fleet.under_way:
                await asyncio.sleep(0.005)
            while suite.received[-1].activity is not DroneActivity.IDLE:
                await asyncio.sleep(0.005)
    assert suite.received[-1].delivery_id is None
