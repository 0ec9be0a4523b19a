"""kill -9 of any part in the middle of a run, then its restart: every request still ends once, and nothing is left."""

import asyncio
from pathlib import Path

import pytest

from demo.endpoints import StackEndpoints
from demo.progress import Progress
from demo.run import run_scenario
from local_stack.stack import SERVICES, LocalStack
from shared_contracts.domain_types import DeliveryStage

REQUESTS = 80
DOWN_S = 3.0
"""Longer than any pause between retries, so that clients and services meet the outage."""


def is_in_full_swing(progress: Progress) -> bool:
    """Some requests are decided, some fly, and many are still to come or under way."""
    stages = progress.stages
    flying = stages[DeliveryStage.HEADED_TO_PICKUP] + stages[DeliveryStage.HEADED_TO_DROPOFF]
    return progress.accepted >= REQUESTS // 3 and flying >= 3


async def kill_and_restart(stack: LocalStack, part: str, progress: Progress) -> int:
    """Returns how many requests had not ended when the part was killed."""
    await progress.reached(is_in_full_swing, timeout_s=60)
    under_way = REQUESTS - progress.ended
    await asyncio.to_thread(stack.kill, part)
    await asyncio.sleep(DOWN_S)
    await asyncio.to_thread(stack.restart, part)
    return under_way


@pytest.mark.parametrize("part", [*SERVICES, "rabbitmq", "postgresql"])
async def test_invariants_hold_when_a_part_is_killed(part: str, tmp_path: Path) -> None:
    stack = LocalStack(tmp_path)
    await asyncio.to_thread(stack.start)
    try:
        progress = Progress()
        run = asyncio.create_task(run_scenario(StackEndpoints.of(stack), requests=REQUESTS, progress=progress))
        under_way = await kill_and_restart(stack, part, progress)
        outcome = await run
    finally:
        await asyncio.to_thread(stack.stop)
    # The trial counts only if the fault hit something.
    assert under_way >= REQUESTS // 4
    assert not outcome.violations, "\n".join(map(str, outcome.violations))
    assert outcome.progress.ended == REQUESTS
