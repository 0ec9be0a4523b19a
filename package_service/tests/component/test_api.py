"""The packages over HTTP."""

from uuid import uuid4

import pytest
from package_examples import a_cancellation, a_request

from shared_contracts.domain_types import PackageDescription, PackageSize
from shared_contracts.package_service.v1 import PackageReady
from shared_runtime.testing import eventually

ALICE = {"X-Subject": "alice"}
SMALL = {"size": "Small", "weight_kg": 1.0, "tag": "food"}


async def ready_package(broker, answers) -> str:
    request = a_request()
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    return str(request.delivery_id)


async def test_put_creates_then_replaces(client) -> None:
    path = f"/api/v1/packages/{uuid4()}"
    assert (await client.put(path, json=SMALL, headers=ALICE)).status_code == 201
    assert (await client.put(path, json=SMALL, headers=ALICE)).status_code == 200
    replaced = await client.put(path, json=SMALL | {"weight_kg": 1.25}, headers=ALICE)
    assert (replaced.status_code, replaced.json()["weight_kg"]) == (200, 1.25)
    seen = (await client.get(path, headers=ALICE)).json()
    assert seen["status"] == "Described"
    assert seen["weight_kg"] == 1.25


async def test_the_request_decides_when_the_package_was_described_before(client, broker, answers) -> None:
    request = a_request(package=PackageDescription(size=PackageSize.MEDIUM, weight_kg=4))
    path = f"/api/v1/packages/{request.delivery_id}"
    await client.put(path, json=SMALL, headers=ALICE)
    await broker.publish(request)
    await answers.wait_for(request.delivery_id, PackageReady)
    seen = (await client.get(path, headers=ALICE)).json()
    assert (seen["status"], seen["size"], seen["weight_kg"]) == ("Ready", "Medium", 4)


async def test_only_the_tag_changes_when_the_package_is_ready(client, broker, answers) -> None:
    path = f"/api/v1/packages/{await ready_package(broker, answers)}"
    assert (await client.patch(path, json={"tag": "documents"}, headers=ALICE)).json()["tag"] == "documents"
    refused = await client.patch(path, json={"weight_kg": 0.5}, headers=ALICE)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("/package-not-changeable")
    assert (await client.get(path, headers=ALICE)).json()["weight_kg"] == 1.5


async def test_nothing_changes_when_the_package_is_withdrawn(client, broker, answers) -> None:
    request = a_request()
    await broker.publish(request)
    await broker.publish(a_cancellation(request))

    async def is_withdrawn() -> bool:
        answer = await client.get(f"/api/v1/packages/{request.delivery_id}", headers=ALICE)
        return answer.status_code == 200 and answer.json()["status"] == "Withdrawn"

    await eventually(is_withdrawn)
    path = f"/api/v1/packages/{request.delivery_id}"
    assert (await client.patch(path, json={"tag": "food"}, headers=ALICE)).status_code in {404, 409}
    assert (await client.put(path, json=SMALL, headers=ALICE)).status_code == 409


async def test_another_owners_package_is_not_there(client, broker, answers) -> None:
    path = f"/api/v1/packages/{await ready_package(broker, answers)}"
    mallory = {"X-Subject": "mallory"}
    answers_to_mallory = [
        await client.get(path, headers=mallory),
        await client.put(path, json=SMALL, headers=mallory),
        await client.patch(path, json={"tag": "food"}, headers=mallory),
    ]
    assert [answer.status_code for answer in answers_to_mallory] == [404, 404, 404]
    assert (await client.get("/api/v1/packages/summary/alice", headers=mallory)).status_code == 404
    assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"size": "Small", "weight_kg": 2.5}, 422),
        ({"size": "Small", "weight_kg": 1, "tag": "explosive"}, 422),
        ({"size": "Huge", "weight_kg": 1}, 422),
        ({"size": "Small", "weight_kg": -1}, 422),
        ({"size": "Small", "weight_kg": "heavy"}, 422),
        ({"size": "Small", "weight_kg": "1"}, 422),
        ({"size": "Small", "weight_kg": True}, 422),
        ({"size": "Small", "weight_kg": 1, "tag": 7}, 422),
        ({"size": "Small"}, 422),
        ({"size": "Small", "weight_kg": 1, "colour": "red"}, 422),
        ({"size": "Small", "weight_kg": 1, "tag": "x" * 65}, 422),
        ([], 422),
    ],
)
async def test_bad_bodies_are_refused_and_leave_nothing(client, body, status) -> None:
    path = f"/api/v1/packages/{uuid4()}"
    refused = await client.put(path, json=body, headers=ALICE)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await client.get(path, headers=ALICE)).status_code == 404


async def test_malformed_requests_are_refused(client) -> None:
    path = f"/api/v1/packages/{uuid4()}"
    json_type = ALICE | {"Content-Type": "application/json"}
    assert (await client.put(path, content=b"{", headers=json_type)).status_code == 400
    assert (await client.put(path, content=b"a=b", headers=ALICE | {"Content-Type": "text/plain"})).status_code == 415
    assert (await client.put(path, content=b" " * 70_000, headers=json_type)).status_code == 413
    assert (await client.get("/api/v1/packages/no-identifier", headers=ALICE)).status_code == 422
    assert (await client.patch(path, json={}, headers=ALICE)).status_code == 422
    assert (await client.patch(path, json={"weight_kg": "1"}, headers=ALICE)).status_code == 422
    assert (await client.patch(path, json={"tag": "food"}, headers=ALICE)).status_code == 404
    assert (await client.delete(path, headers=ALICE)).status_code == 405


async def test_summary_counts_the_owners_packages(client, broker, answers) -> None:
    owner = f"owner-{uuid4()}"
    heavy = a_request(owner_id=owner, package=PackageDescription(size=PackageSize.SMALL, weight_kg=9))
    light = [a_request(owner_id=owner, package=PackageDescription(size=PackageSize.LARGE, weight_kg=3)) for _ in "ab"]
    for request in (heavy, *light):
        await broker.publish(request)
    await eventually(lambda: _all_answered(answers, [heavy, *light]))
    summary = (await client.get(f"/api/v1/packages/summary/{owner}", headers={"X-Subject": owner})).json()
    assert summary == {
        "owner_id": owner,
        "packages": 3,
        "total_weight_kg": 15.0,
        "by_status": {"Rejected": 1, "Ready": 2},
        "by_size": {"Small": 1, "Large": 2},
    }


async def _all_answered(answers, requests) -> bool:
    return all([await answers.of_session(request.delivery_id) for request in requests])
