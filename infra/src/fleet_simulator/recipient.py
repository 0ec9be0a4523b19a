"""The people at the drop-offs."""

import asyncio
from typing import Protocol

import structlog

from fleet_simulator.flight import Order
from fleet_simulator.outages import Refused, outlast
from fleet_simulator.services import Services
from shared_contracts.domain_types import ConfirmationType

log = structlog.get_logger(__name__)

CONFLICT = 409
NOT_LANDED = "drone-not-at-dropoff"
NOT_LANDED_PAUSE_S = 0.25


class Recipient(Protocol):
    """Whoever waits at the drop-off."""

    async def confirm(self, order: Order) -> bool:
        """The drone has landed with the package. Returns whether the delivery is confirmed now.

        Raises Outage when the delivery service did not answer for too long. Cancelled when the delivery ends otherwise.
        """


class WillingRecipient:
    """Confirms as asked for, as soon as the delivery service knows that the drone has landed."""

    def __init__(self, services: Services, *, outage_limit_s: float) -> None:
        self._services = services
        self._outage_limit_s = outage_limit_s

    async def confirm(self, order: Order) -> bool:
        """See Recipient."""
        if order.confirmation_required is ConfirmationType.NONE:
            # Landing is enough.
            return False
        while True:
            try:
                await outlast(
                    lambda: self._services.confirm(order.delivery_id, order.confirmation_required),
                    limit_s=self._outage_limit_s,
                )
            except Refused as refusal:
                if (refusal.status, refusal.problem) != (CONFLICT, NOT_LANDED):
                    # It has ended in another way, which the list of deliveries will tell.
                    log.info("handover_refused", delivery_id=str(order.delivery_id), problem=refusal.problem)
                    return False
                # The drone is faster than its own report.
                await asyncio.sleep(NOT_LANDED_PAUSE_S)
            else:
                return True
