"""Dead letters as services send them, and what services answer to replays."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import aio_pika

from dead_letters.domain.dead_letter import dead_letter_id_of
from shared_contracts.domain_types import Location, PackageDescription, PackageSize
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.topology import Subscription, subscriptions_of
from shared_runtime.dead_letter import dead_letter
from shared_runtime.envelope import Envelope, Undecodable, new_id, utc_now
from shared_runtime.outbox import Outgoing
from shared_runtime.replays import OUTCOMES, ReplayHandled
from shared_runtime.testing import Broker, envelope_of

REQUESTS, EVENTS = subscriptions_of("package-service")


class DroneStuck(Exception):
    """Some failure of a handler."""


def an_event(**attributes: Any) -> Envelope:
    """A delivery request as the package service gets it."""
    now = utc_now()
    message = DeliveryRequested(
        delivery_id=new_id(),
        owner_id="alice",
        pickup=Location(latitude=47.37, longitude=8.54),
        dropoff=Location(latitude=47.40, longitude=8.50),
        pickup_time=now,
        deadline=now + timedelta(hours=2),
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="fragile"),
    )
    return envelope_of(message, **attributes)


def letter_id(event: Envelope, subscription: Subscription = REQUESTS) -> UUID:
    return dead_letter_id_of(subscription.name, event.id)


def a_dead_letter(
    message: Envelope | Undecodable,
    *,
    subscription: Subscription = REQUESTS,
    reason: str = "handler_failed",
    error: BaseException | None = None,
    description: str = "the drone is stuck",
    is_parked: bool = False,
    **facts: Any,
) -> Outgoing:
    """What the runtime of a service makes of a message that it cannot process."""
    return dead_letter(
        message,
        service=subscription.service,
        subscription=subscription.name,
        reason=reason,
        description=description,
        now=utc_now(),
        error=error or DroneStuck(description),
        is_parked=is_parked,
        **facts,
    )


class Sender:
    """Does what services do."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def send(self, letter: Outgoing, *, headers: dict[str, Any] | None = None) -> UUID:
        """Publish a dead letter as the relay does. Returns the id of the failure."""
        message = aio_pika.Message(
            letter.body,
            headers=letter.properties.headers | (headers or {}),
            content_type=letter.properties.content_type,
            message_id=letter.properties.message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = await self.broker.channel.get_exchange(letter.exchange, ensure=False)
        await exchange.publish(message, routing_key=letter.routing_key, mandatory=True, timeout=10)
        return letter.id

    async def fail(self, event: Envelope, **facts: Any) -> UUID:
        """A service dead-letters the event. Returns the id of the dead letter."""
        await self.send(a_dead_letter(event, **facts))
        return letter_id(event, facts.get("subscription", REQUESTS))

    async def answer(self, event: Envelope, subscription: Subscription = REQUESTS) -> Envelope:
        """A service has handled a replay."""
        handled = ReplayHandled(
            subscription=subscription.name,
            session_id=event.session_id,
            message_id=event.id,
            attempt_epoch=event.attempt_epoch,
        )
        envelope = envelope_of(handled)
        await self.broker.publish_envelope(envelope, OUTCOMES.topic)
        return envelope
