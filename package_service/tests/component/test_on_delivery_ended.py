"""The ends of a delivery: packages are withdrawn, or handed over, once."""

import pytest
from package_examples import a_cancellation, a_completion, a_failure, a_request

from shared_contracts.domain_types import PackageDescription, PackageSize
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageWithdrawn
from shared_runtime.testing import eventually


@pytest.mark.parametrize("ending", [a_cancellation, a_failure])
async def test_withdrawn_when_the_delivery_ends_badly(broker, answers, status_of, ending) -> None:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    await broker.publish(ending(request))
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)
    assert await status_of(request.delivery_id) == "Withdrawn"


async def test_withdrawn_once_when_the_end_is_told_again(broker, answers, settled) -> None:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    for ending in (a_cancellation, a_cancellation, a_failure):
        await broker.publish(ending(request))
    await eventually(lambda: answers.of_session(request.delivery_id))
    await settled(request.delivery_id)
    await answers.wait_for(request.delivery_id, PackageReady, PackageWithdrawn)


async def test_nothing_to_undo_when_the_package_was_rejected(broker, answers, status_of, settled) -> None:
    request = a_request(package=PackageDescription(size=PackageSize.LARGE, weight_kg=99))
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageRejected)
    await broker.publish(a_failure(request))
    await settled(request.delivery_id)
    await answers.wait_for(request.delivery_id, PackageRejected)
    assert await status_of(request.delivery_id) == "Rejected"


async def test_delivered_when_the_delivery_is_completed(broker, answers, status_of) -> None:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    await broker.publish(a_completion(request))

    async def is_delivered() -> bool:
        return await status_of(request.delivery_id) == "Delivered"

    await eventually(is_delivered)
    # After that nothing is withdrawn any more.
    await broker.publish(a_failure(request))
    await broker.publish(a_completion(request))
    another = a_request()
    await broker.publish(another)
    await answers.wait_for(another.delivery_id, PackageReady)
    await answers.wait_for(request.delivery_id, PackageReady)
    assert await is_delivered()


async def test_nothing_is_delivered_when_the_package_is_unknown(broker, answers, status_of, settled) -> None:
    request = a_request()
    await broker.publish(a_completion(request))
    await settled(request.delivery_id)
    assert await status_of(request.delivery_id) is None
