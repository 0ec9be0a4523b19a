"""A delivery request, from the topic to the answer in delivery's session queue."""

from datetime import timedelta

import asyncpg
from package_examples import a_cancellation, a_failure, a_request

from shared_contracts.domain_types import ConfirmationType, PackageDescription, PackageSize
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageRejectionReason, PackageWithdrawn
from shared_runtime.envelope import utc_now
from shared_runtime.testing import eventually


async def test_package_ready_when_it_can_be_shipped(broker, answers) -> None:
    request = a_request(confirmation_required=ConfirmationType.PICTURE)
    await broker.publish(request)
    (ready,) = await answers.wait_for(request.delivery_id, PackageReady)
    assert ready.package == request.package
    assert ready.confirmation_required is ConfirmationType.PICTURE
    assert ready.deadline == request.deadline


async def test_rejected_when_too_heavy_for_its_size(broker, answers, status_of) -> None:
    request = a_request(package=PackageDescription(size=PackageSize.SMALL, weight_kg=2.5))
    await broker.publish(request)
    (rejected,) = await answers.wait_for(request.delivery_id, PackageRejected)
    assert rejected.reason is PackageRejectionReason.TOO_HEAVY
    assert await status_of(request.delivery_id) == "Rejected"


async def test_rejected_when_the_request_comes_after_its_deadline(broker, answers) -> None:
    request = a_request(deadline=utc_now() - timedelta(seconds=1))
    await broker.publish(request, expires_at=request.deadline)
    (rejected,) = await answers.wait_for(request.delivery_id, PackageRejected)
    assert rejected.reason is PackageRejectionReason.REQUEST_EXPIRED


async def test_nothing_changes_when_the_request_comes_twice(
    broker, answers, settled, database: asyncpg.Connection
) -> None:
    request = a_request()
    envelope = await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    query = "SELECT * FROM package WHERE package_id = $1"
    before = await database.fetchrow(query, request.delivery_id)
    # The same message again, and the same request in another message.
    await broker.publish_envelope(envelope, str(request.topic))
    await broker.publish(request)
    await settled(request.delivery_id)
    await answers.wait_for(request.delivery_id, PackageReady)
    assert await database.fetchrow(query, request.delivery_id) == before


async def test_stays_withdrawn_when_the_end_came_first(broker, answers, status_of, settled) -> None:
    for ending in (a_cancellation, a_failure):
        request = a_request()
        await broker.publish(ending(request))
        await eventually(lambda request=request: status_of(request.delivery_id))
        await broker.publish(request)
        await settled(request.delivery_id)
        assert await status_of(request.delivery_id) == "Withdrawn"
        assert await answers.of_session(request.delivery_id) == []


async def test_nothing_happens_when_the_delivery_has_ended(broker, answers, status_of, settled) -> None:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    await broker.publish(a_cancellation(request))
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)
    await broker.publish(request)
    await settled(request.delivery_id)
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)
    assert await status_of(request.delivery_id) == "Withdrawn"
