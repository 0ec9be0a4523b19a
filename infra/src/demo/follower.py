"""Follows all requests of a run: looks at the owners' lists every so often, and wakes who waits for something."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from demo.case import Case, ToldStatus
from demo.customer import Customers
from fleet_simulator.outages import Outage

LOOK_INTERVAL_S = 0.4
LOOKS_PER_REQUEST_S = 0.002
"""With many requests the looks are further apart, because each reads all of them."""


class Follower:
    """What is told of the requests, by delivery."""

    def __init__(self, customers: Customers, owners: Sequence[str], cases: Sequence[Case]) -> None:
        self._customers = customers
        self._owners = owners
        self._cases = cases
        self._looked = asyncio.Condition()
        self.outages = 0

    def case_of(self, delivery_id: UUID) -> Case | None:
        """The request of this run that became the delivery, None when it is not known to be one."""
        return next((case for case in self._cases if case.delivery_id == delivery_id), None)

    async def until(self, case: Case, holds: Callable[[ToldStatus], bool]) -> ToldStatus:
        """Wait until something is told of the request, or it has ended, and return what is told then."""
        async with self._looked:
            await self._looked.wait_for(
                lambda: case.status is not None and (case.status.is_ended or holds(case.status))
            )
        assert case.status is not None  # noqa: S101 - that was waited for
        return case.status

    async def run(self) -> None:
        """Look until cancelled. During an outage nothing new is told."""
        interval_s = max(LOOK_INTERVAL_S, LOOKS_PER_REQUEST_S * len(self._cases))
        while True:
            try:
                await self.look()
            except Outage:
                self.outages += 1
            await asyncio.sleep(interval_s)

    async def look(self) -> None:
        """Look once. Raises Outage."""
        by_delivery = {case.delivery_id: case for case in self._cases if case.delivery_id is not None}
        for owner_id in self._owners:
            for status in await self._customers.statuses(owner_id):
                case = by_delivery.get(status.delivery_id)
                if case is not None:
                    case.status = status
        async with self._looked:
            self._looked.notify_all()
