"""What the customer of each kind of request does, from submitting to the end."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import assert_never
from uuid import UUID

from demo.case import Case, Seen, ToldStatus
from demo.customer import Accepted, Customers
from demo.follower import Follower
from demo.kinds import DAY_S, HOUR_S, Kind
from demo.scenario import times
from fleet_simulator.flight import Order
from fleet_simulator.outages import Outage, Refused
from fleet_simulator.recipient import WillingRecipient
from shared_contracts.domain_types import ConfirmationType, DeliveryStage

RESCHEDULED_PICKUP_IN_S = 3.0
CASE_KNOWN_ATTEMPTS = 25
CASE_KNOWN_PAUSE_S = 0.2

BOOKED = frozenset({DeliveryStage.CREATED, DeliveryStage.RESCHEDULED})
HELD = frozenset({Kind.CANCELLED_TOO_LATE, Kind.RESCHEDULED_TOO_LATE, Kind.NOTIFIED})
"""Kinds whose recipients wait until the customer has done what the kind is about."""


class Customer:
    """Does what the kind of one request is about."""

    def __init__(self, case: Case, owner_id: str, key: str, customers: Customers, follower: Follower) -> None:
        self.case = case
        self.owner_id = owner_id
        self._key = key
        self._customers = customers
        self._follower = follower
        self.has_submitted = asyncio.Event()
        """The request was accepted or refused."""
        self.has_acted = asyncio.Event()
        """The recipient need not wait any longer."""
        self.is_served = asyncio.Event()
        """The request has ended."""

    async def live(self) -> None:
        """Submit, do what the kind is about, and wait for the end."""
        try:
            await self._enter()
            self.has_submitted.set()
            if self.case.delivery_id is not None:
                await self._act(self.case.delivery_id)
        except (Refused, Outage) as error:
            self.case.trouble = str(error)
        finally:
            self.has_submitted.set()
            self.has_acted.set()
        if self.case.delivery_id is not None:
            await self._follower.until(self.case, lambda _: False)
        self.is_served.set()

    async def _enter(self) -> None:
        body = self.case.request.body(datetime.now(UTC))
        try:
            if self.case.kind is Kind.SENT_TWICE:
                await self._submit_twice(body)
            else:
                self.case.delivery_id = (await self._submit(body)).delivery_id
        except Refused as refusal:
            self.case.refusal = f"{refusal.status} {refusal.problem}"

    async def _act(self, delivery_id: UUID) -> None:
        match self.case.kind:
            case Kind.RESCHEDULED:
                await self._reschedule_in_time(delivery_id)
            case Kind.RESCHEDULED_TOO_LATE:
                await self._until(DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.HEADED_TO_DROPOFF)
                await self._reschedule(delivery_id, HOUR_S)
                await self._follower.until(self.case, _reschedule_is_answered)
            case Kind.CANCELLED_AT_ONCE:
                await self._customers.cancel(self.owner_id, delivery_id)
            case Kind.CANCELLED_WHEN_BOOKED:
                await self._until(*BOOKED)
                await self._customers.cancel(self.owner_id, delivery_id)
            case Kind.CANCELLED_ON_THE_WAY:
                await self._cancel_on_the_way(delivery_id)
            case Kind.CANCELLED_TOO_LATE:
                await self._until(DeliveryStage.HEADED_TO_DROPOFF)
                await self._customers.cancel(self.owner_id, delivery_id)
                await self._follower.until(self.case, _cancellation_is_answered)
            case Kind.NOTIFIED:
                await self._until(*BOOKED, DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.HEADED_TO_DROPOFF)
                await self._customers.ask_to_be_told(self.owner_id, delivery_id, DeliveryStage.COMPLETED)
                self.case.seen.add(Seen.WISH_TO_BE_TOLD)
            case (
                Kind.HEAVY
                | Kind.NO_DRONE
                | Kind.ORDINARY
                | Kind.EXPEDITED
                | Kind.BY_FINGERPRINT
                | Kind.BY_PICTURE
                | Kind.BY_VOICE
                | Kind.WRONGLY_CONFIRMED
                | Kind.SENT_TWICE
                | Kind.TOO_HEAVY
                | Kind.TAG_NOT_ALLOWED
                | Kind.TOO_FAR
                | Kind.EXPIRED
            ):
                pass
            case _:
                assert_never(self.case.kind)

    async def _until(self, *stages: DeliveryStage) -> ToldStatus:
        return await self._follower.until(self.case, lambda status: status.stage in stages)

    async def _submit(self, body: Mapping[str, object]) -> Accepted:
        return await self._customers.submit(self.owner_id, self._key, body)

    async def _submit_twice(self, body: Mapping[str, object]) -> None:
        # Every other one sends both at the same moment.
        if self.case.request.number % 2:
            first, second = await asyncio.gather(self._submit(body), self._submit(body))
        else:
            first, second = await self._submit(body), await self._submit(body)
        self.case.delivery_id = first.delivery_id
        if first.delivery_id == second.delivery_id and (first.is_replay or second.is_replay):
            self.case.seen.add(Seen.REPLAY)
        try:
            await self._submit({**body, "expedited": True})
        except Refused as refusal:
            if (refusal.status, refusal.problem) == (422, "idempotency-key-reused"):
                self.case.seen.add(Seen.KEY_REUSE_REFUSED)

    async def _reschedule_in_time(self, delivery_id: UUID) -> None:
        # Every other one asks before package and drone are there, when the wish has to be kept.
        if self.case.request.number % 2:
            await self._until(*BOOKED)
        await self._reschedule(delivery_id, RESCHEDULED_PICKUP_IN_S)

    async def _reschedule(self, delivery_id: UUID, pickup_in_s: float) -> None:
        await self._customers.reschedule(self.owner_id, delivery_id, times(datetime.now(UTC), pickup_in_s, DAY_S))

    async def _cancel_on_the_way(self, delivery_id: UUID) -> None:
        await self._until(DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.HEADED_TO_DROPOFF)
        try:
            await self._customers.cancel(self.owner_id, delivery_id)
        except Refused as refusal:
            # The drone was quicker.
            if refusal.problem != "delivery-ended":
                raise


class Recipients:
    """The people at the drop-offs of this run: some wait for the customer, some confirm the wrong way first."""

    def __init__(self, customers: Customers, follower: Follower) -> None:
        self._willing: WillingRecipient | None = None
        self._customers = customers
        self._follower = follower
        self.people: dict[int, Customer] = {}
        """The customers by the number of their request."""

    def beside(self, willing: WillingRecipient) -> "Recipients":
        """Stand beside the recipients who just confirm, and leave it to them in the end."""
        self._willing = willing
        return self

    async def confirm(self, order: Order) -> bool:
        """See fleet_simulator.recipient.Recipient."""
        case = await self._case_of(order.delivery_id)
        if case is not None and case.kind in HELD:
            await self.people[case.request.number].has_acted.wait()
        if case is not None and case.kind is Kind.WRONGLY_CONFIRMED:
            await self._confirm_wrongly(case, order)
        return self._willing is not None and await self._willing.confirm(order)

    async def _case_of(self, delivery_id: UUID) -> Case | None:
        # The drone may land before the answer to a submission has come through an outage.
        for _ in range(CASE_KNOWN_ATTEMPTS):
            case = self._follower.case_of(delivery_id)
            if case is not None:
                return case
            await asyncio.sleep(CASE_KNOWN_PAUSE_S)
        return None

    async def _confirm_wrongly(self, case: Case, order: Order) -> None:
        owner_id = self.people[case.request.number].owner_id
        try:
            await self._customers.confirm(owner_id, order.delivery_id, ConfirmationType.VOICE)
        except Refused as refusal:
            if (refusal.status, refusal.problem) == (422, "wrong-confirmation-type"):
                case.seen.add(Seen.WRONG_CONFIRMATION_REFUSED)


def _reschedule_is_answered(status: ToldStatus) -> bool:
    return status.reschedule is not None and status.reschedule.state != "Requested"


def _cancellation_is_answered(status: ToldStatus) -> bool:
    return status.cancellation is not None and status.cancellation.state != "Requested"
