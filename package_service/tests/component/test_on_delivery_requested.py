"""A delivery request, from the topic to the answer in delivery's session queue."""

from datetime import timedelta

import asyncpg
from shared_contracts.delivery.v1 import DeliveryCancellationCause, DeliveryCancelled
from shared_contracts.domain_types import ConfirmationType, Location, PackageDescription, PackageSize
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageRejectionReason, PackageWithdrawn
from shared_runtime.envelope import new_id, utc_now
from shared_runtime.testing import Broker, Mailbox, eventually


def a_request(**changes: object) -> DeliveryRequested:
    now = utc_now()
    request = DeliveryRequested(
        delivery_id=new_id(),
        owner_id="alice",
        pickup=Location(latitude=47.37, longitude=8.54),
        dropoff=Location(latitude=47.40, longitude=8.50),
        pickup_time=now,
        deadline=now + timedelta(hours=1),
        confirmation_required=ConfirmationType.PICTURE,
        package=PackageDescription(size=PackageSize.SMALL, weight_kg=1.5, tag="fragile"),
    )
    return request.model_copy(update=changes)


async def test_package_ready_when_it_can_be_shipped(broker: Broker, answers: Mailbox) -> None:
    request = a_request()
    await broker.publish(request)
    (ready,) = await answers.wait_for(request.delivery_id, PackageReady)
    assert ready.package == request.package
    assert ready.confirmation_required is ConfirmationType.PICTURE
    assert ready.deadline == request.deadline


async def test_rejected_when_too_heavy_for_its_size(broker: Broker, answers: Mailbox) -> None:
    request = a_request(package=PackageDescription(size=PackageSize.SMALL, weight_kg=2.5))
    await broker.publish(request)
    (rejected,) = await answers.wait_for(request.delivery_id, PackageRejected)
    assert rejected.reason is PackageRejectionReason.TOO_HEAVY


async def test_rejected_when_the_request_comes_after_its_deadline(broker: Broker, answers: Mailbox) -> None:
    request = a_request(deadline=utc_now() - timedelta(seconds=1))
    await broker.publish(request, expires_at=request.deadline)
    (rejected,) = await answers.wait_for(request.delivery_id, PackageRejected)
    assert rejected.reason is PackageRejectionReason.REQUEST_EXPIRED


async def test_nothing_changes_when_the_request_comes_twice(
    broker: Broker, answers: Mailbox, database: asyncpg.Connection
) -> None:
    request = a_request()
    envelope = await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    before = await database.fetchrow("SELECT * FROM package WHERE package_id = $1", request.delivery_id)
    await broker.publish_envelope(envelope, str(request.topic))
    await broker.publish(request)
    await _after_the_next(broker, answers, request)
    await answers.wait_for(request.delivery_id, PackageReady)
    assert await database.fetchrow("SELECT * FROM package WHERE package_id = $1", request.delivery_id) == before


async def test_stays_withdrawn_when_the_cancellation_came_first(
    broker: Broker, answers: Mailbox, database: asyncpg.Connection
) -> None:
    request = a_request()
    await broker.publish(a_cancellation(request))

    async def is_withdrawn() -> bool:
        query = "SELECT status = 'Withdrawn' FROM package WHERE package_id = $1"
        return await database.fetchval(query, request.delivery_id) or False

    await eventually(is_withdrawn)
    await broker.publish(request)
    await _after_the_next(broker, answers, request)
    assert await answers.of_session(request.delivery_id) == []
    assert await is_withdrawn()


async def test_withdrawn_once_when_the_delivery_is_cancelled(broker: Broker, answers: Mailbox) -> None:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    await broker.publish(a_cancellation(request))
    await broker.publish(a_cancellation(request))
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)
    await _after_the_next(broker, answers, request)
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)


def a_cancellation(request: DeliveryRequested) -> DeliveryCancelled:
    return DeliveryCancelled(
        delivery_id=request.delivery_id,
        owner_id=request.owner_id,
        occurred_at=utc_now(),
        reason=DeliveryCancellationCause.CUSTOMER_REQUEST,
        flight=None,
    )


async def _after_the_next(broker: Broker, answers: Mailbox, request: DeliveryRequested) -> None:
    """Wait until a message of the same partition that came later is answered: then the earlier ones are dealt with."""
    from shared_runtime.partition import partition_of

    later = a_request()
    while partition_of(str(later.delivery_id), 4) != partition_of(str(request.delivery_id), 4):
        later = a_request()
    await broker.publish(later)
    await answers.wait_for(later.delivery_id, PackageReady)
