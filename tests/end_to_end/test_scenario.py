"""The main job, end to end: requests of every kind, flown on the real stack."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from demo.endpoints import StackEndpoints
from demo.kinds import Kind
from demo.run import Outcome, run_scenario
from local_stack.stack import SERVICES, SUPPORT, LocalStack


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    folder: Path = tmp_path_factory.mktemp("stack")
    stack = LocalStack(folder)
    await asyncio.to_thread(stack.start)
    try:
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)


@pytest_asyncio.fixture(scope="module")
async def outcome(stack: LocalStack) -> Outcome:
    return await run_scenario(StackEndpoints.of(stack), seed=7, requests=120)


async def test_every_invariant_holds(outcome: Outcome) -> None:
    assert not outcome.violations, "\n".join(map(str, outcome.violations))


async def test_every_kind_ends_as_it_should(outcome: Outcome) -> None:
    assert {case.kind for case in outcome.cases} == set(Kind)
    assert not outcome.surprises, [(case.kind, case.surprise) for case in outcome.surprises]


async def test_every_service_shows_what_it_did(stack: LocalStack, outcome: Outcome) -> None:
    async with httpx.AsyncClient() as client:
        for service in SERVICES:
            figures = (await client.get(f"{stack.base_url(service)}/metrics")).text
            # Nothing was set aside, so there was nothing for support to handle.
            handled = () if service == SUPPORT else ("messages_handled_total", "message_latency_seconds_count")
            for name in ("outbox_depth", *handled):
                assert f"\n{name}" in figures, (service, name)
            assert "\noutbox_depth 0.0" in figures, service
