"""The service that the README shows, word for word, on real servers."""

import asyncio
import importlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from local_stack.services import Service
from local_stack.stack import LocalStack
from shared_contracts.delivery.v1 import DeliveryCompleted
from shared_contracts.domain_types import ConfirmationRecord, ConfirmationType, FlightSummary, Location
from shared_contracts.message import Topic
from shared_runtime.envelope import new_id, utc_now
from shared_runtime.testing import Broker, Mailbox, eventually

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"`(billing/[\w/.]+)`:\n\n```python\n(.*?)```", re.DOTALL)


@pytest_asyncio.fixture(scope="module")
async def billing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """A stack with nothing but the README's service, its code written to a folder of its own."""
    folder = tmp_path_factory.mktemp("readme")
    blocks = BLOCK.findall(README.read_text(encoding="utf-8"))
    assert [name for name, _ in blocks] == ["billing/app.py", "billing/migrations/versions/0001_initial.py"]
    for name, code in blocks:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
    (folder / "billing" / "__init__.py").touch()
    stack = LocalStack(folder / "stack", services=())
    await asyncio.to_thread(stack.start)
    try:
        app = _import_from(folder)
        stack.declare_extra([app.BILLING, app.ACCOUNTING], {"billing": [Topic.DELIVERY_EVENTS]})
        # Migration and service are processes of their own, and are to find the package, too.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
            await asyncio.to_thread(stack.add_service, Service("billing"))
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)


def _import_from(folder: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("DATABASE_URL", "postgresql://nobody@localhost/none")
        patch.setenv("BROKER_URL", "amqp://nobody@localhost/")
        try:
            return importlib.import_module("billing.app")
        finally:
            for name in ("billing.app", "billing"):
                sys.modules.pop(name, None)


def completed(owner_id: str) -> DeliveryCompleted:
    now = utc_now()
    return DeliveryCompleted(
        delivery_id=new_id(),
        owner_id=owner_id,
        occurred_at=now,
        confirmation=ConfirmationRecord(type=ConfirmationType.NONE, confirmed_at=now),
        flight=FlightSummary(
            drone_id=new_id(),
            departed_at=now,
            ended_at=now,
            distance_m=10_000,
            last_location=Location(latitude=47.4, longitude=8.5),
        ),
    )


async def test_the_service_of_the_readme_works(billing: LocalStack) -> None:
    event = completed("alice")
    async with (
        Broker.connected(billing.broker_url("admin")) as broker,
        httpx.AsyncClient(base_url=billing.base_url("billing")) as client,
    ):
        mailbox = await Mailbox.of(broker, ["accounting.delivery-events.0"])
        envelope = await broker.publish(event)
        await broker.publish_envelope(envelope, str(event.topic))
        await broker.publish(event)
        path = f"/api/v1/invoices/{event.delivery_id}"

        async def invoice() -> dict[str, object] | None:
            answer = await client.get(path, headers={"X-Subject": "alice"})
            return answer.json() if answer.status_code == 200 else None

        assert (await eventually(invoice))["amount_cents"] == 250 + 900
        assert (await client.get(path, headers={"X-Subject": "mallory"})).status_code == 404

        other = completed("bob")
        await broker.publish(other)

        async def both_issued() -> bool:
            return {event.session_id for event in mailbox.events} == {str(event.delivery_id), str(other.delivery_id)}

        await eventually(both_issued)
        # Three messages about one delivery, and one invoice.
        assert len(mailbox.events) == 2
