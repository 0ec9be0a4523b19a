"""A simulator with its connections."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fleet_simulator.flight import Rules
from fleet_simulator.recipient import Recipient, WillingRecipient
from fleet_simulator.services import Services
from fleet_simulator.simulator import FleetSimulator, Pace
from fleet_simulator.telemetry import BrokerLink, HttpLink


@dataclass(frozen=True)
class FleetEndpoints:
    """Where the suite is, for a fleet."""

    scheduler_url: str
    delivery_url: str
    broker_url: str | None = None
    """For the user `fleet`. Without it, telemetry goes over HTTP to the delivery service."""


@asynccontextmanager
async def simulator_at(
    endpoints: FleetEndpoints,
    *,
    rules: Rules,
    pace: Pace,
    recipient: Callable[[WillingRecipient], Recipient] = lambda willing: willing,
) -> AsyncIterator[FleetSimulator]:
    """A simulator without drones. `recipient` may put somebody else in the place of the willing recipients."""
    async with Services.at(endpoints.scheduler_url, endpoints.delivery_url) as services:
        yield FleetSimulator(
            services,
            BrokerLink(endpoints.broker_url) if endpoints.broker_url else HttpLink(services),
            recipient(WillingRecipient(services, outage_limit_s=pace.outage_limit_s)),
            rules=rules,
            pace=pace,
        )
