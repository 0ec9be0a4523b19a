"""What customers do over HTTP: submit, follow, reschedule, cancel, ask to be told."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import httpx
from pydantic import BaseModel

from demo.case import ToldStatus
from demo.endpoints import StackEndpoints
from fleet_simulator.outages import Refused, outlast, request
from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import DeliveryStage

REQUESTS = "/api/v1/deliveryrequests"
DELIVERIES = "/api/v1/deliveries"
TIMEOUT_S = 15.0
SUBMISSIONS_AT_ONCE = 14
CONNECTIONS = SUBMISSIONS_AT_ONCE + 10
"""Some are left for those who follow, cancel or reschedule while others still submit."""
PAGE_LENGTH = 200


class Accepted(BaseModel):
    """The answer to a submission, and whether it repeats an earlier one."""

    delivery_id: UUID
    is_replay: bool = False


class _StatusPage(BaseModel):
    items: list[ToldStatus]
    next_cursor: str | None


class Customers:
    """The interfaces that customers use. They insist: an outage is waited for, up to a limit.

    Every change has an idempotency key, so that insisting cannot do it twice.
    """

    def __init__(self, ingestion: httpx.AsyncClient, delivery: httpx.AsyncClient, outage_limit_s: float) -> None:
        self._ingestion = ingestion
        self._delivery = delivery
        self._outage_limit_s = outage_limit_s
        self._submitting = asyncio.Semaphore(SUBMISSIONS_AT_ONCE)

    @classmethod
    @asynccontextmanager
    async def of(cls, endpoints: StackEndpoints, *, outage_limit_s: float) -> AsyncIterator[Self]:
        """Connections to ingestion and delivery, closed at the end."""
        options: dict[str, Any] = {
            "timeout": TIMEOUT_S,
            "limits": httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            "trust_env": False,
        }
        async with (
            httpx.AsyncClient(base_url=endpoints.ingestion_url, **options) as ingestion,
            httpx.AsyncClient(base_url=endpoints.delivery_url, **options) as delivery,
        ):
            yield cls(ingestion, delivery, outage_limit_s)

    async def submit(self, owner_id: str, key: str, body: Mapping[str, Any]) -> Accepted:
        """Ask for a delivery. Raises Refused with the problem, Outage."""
        async with self._submitting:
            response = await self._ask(self._ingestion, "POST", REQUESTS, _caller(owner_id, key), json=dict(body))
        return Accepted(
            delivery_id=response.json()["delivery_id"], is_replay=response.headers.get("Idempotency-Replayed") == "true"
        )

    async def reschedule(self, owner_id: str, delivery_id: UUID, times: Mapping[str, str]) -> None:
        """Ask for other times. Raises Refused, Outage."""
        headers = _caller(owner_id, f"reschedule-{delivery_id}")
        await self._ask(self._ingestion, "PATCH", f"{REQUESTS}/{delivery_id}", headers, json=dict(times))

    async def cancel(self, owner_id: str, delivery_id: UUID) -> None:
        """Ask that it be cancelled. Raises Refused, Outage."""
        headers = _caller(owner_id, f"cancel-{delivery_id}")
        await self._ask(self._ingestion, "DELETE", f"{REQUESTS}/{delivery_id}", headers)

    async def statuses(self, owner_id: str) -> list[ToldStatus]:
        """What became of all of the owner's requests. Raises Outage."""
        statuses: list[ToldStatus] = []
        cursor: str | None = None
        while True:
            query = {"limit": str(PAGE_LENGTH)} | ({"cursor": cursor} if cursor else {})
            response = await request(self._ingestion, "GET", REQUESTS, params=query, headers=_caller(owner_id))
            page = _StatusPage.model_validate_json(_accepted(response).content)
            statuses += page.items
            if (cursor := page.next_cursor) is None:
                return statuses

    async def ask_to_be_told(self, owner_id: str, delivery_id: UUID, *stages: DeliveryStage) -> None:
        """Ask for a notification at these stages. Raises Refused, Outage."""
        path = f"{DELIVERIES}/{delivery_id}/notifymerequests"
        body = {"channel": NotificationChannel.EMAIL, "stages": stages}
        # Asking for the same again is one wish, so this needs no key.
        await self._ask(self._delivery, "POST", path, _caller(owner_id), json=body)

    async def confirm(self, owner_id: str, delivery_id: UUID, confirmation: str) -> None:
        """Confirm the handover. Raises Refused, Outage."""
        path = f"{DELIVERIES}/{delivery_id}/confirmations"
        await self._ask(self._delivery, "POST", path, _caller(owner_id), json={"type": confirmation})

    async def _ask(
        self, client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], **options: Any
    ) -> httpx.Response:
        answer = await outlast(
            lambda: request(client, method, path, headers=headers, **options), limit_s=self._outage_limit_s
        )
        return _accepted(answer)


def _caller(owner_id: str, key: str | None = None) -> dict[str, str]:
    return {"X-Subject": owner_id} | ({"Idempotency-Key": key} if key else {})


def _accepted(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise Refused(response)
    return response
