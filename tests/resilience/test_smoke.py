"""A short trial of every fault, and the proof that the checker would notice.

Without root there are no namespaces: what needs one is skipped and says so.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping

import pytest
from faultline import namespace
from faultline.faults import FAULTS
from faultline.runner import CONTROL
from faultline.summary import Summary
from faultline.workers import Worker

SEED = int(os.environ.get("RESILIENCE_SEED", "2"))
SITES = 2
"""How many trials run at the same time: they wait more than they compute."""
SCENARIOS = (
    "kill-services",
    "kill-servers",
    "kill-together",
    "commit-points",
    "take-over",
    "rolling-restart",
    "pause",
    "network-delay+network-reset+lost-commit-reply",
    "network-half-close",
    "partition",
    "connection-churn",
    "duplicates",
    "poison",
    "broken-handler",
    "deleted-queue",
    "clock-skew",
    "disk-full+memory-alarm",
)

FOUND = {
    "take-over": 2,
    "clock-skew": 3,
    "network-half-close": 2,
    # Ingestion dies between its commit and the publication: a request is accepted, and nobody else ever hears of it.
    CONTROL: 8,
}
"""Trials that once broke something, and the one that has to."""

Trials = Mapping[str, asyncio.Task[Summary]]


@pytest.fixture(scope="module")
async def trials(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trials]:
    """The trials of the tests that were chosen, side by side in processes and namespaces of their own."""
    namespace.bring_tools()
    names = [item.name for item in request.session.items]
    wanted = [one for one in (*SCENARIOS, CONTROL) if any(name.endswith(f"[{one}]") for name in names)]
    folder = tmp_path_factory.mktemp("resilience")
    free: asyncio.Queue[Worker] = asyncio.Queue()
    workers = [Worker(folder / f"worker-{number}", is_long=False) for number in range(SITES)]
    for worker in workers:
        free.put_nowait(worker)

    async def run(scenario: str) -> Summary:
        worker = await free.get()
        try:
            return await worker.run(scenario, FOUND.get(scenario, SEED))
        finally:
            free.put_nowait(worker)

    tasks = {scenario: asyncio.create_task(run(scenario)) for scenario in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await asyncio.gather(*(worker.close() for worker in workers))


def test_every_fault_has_its_trial() -> None:
    assert {fault for scenario in SCENARIOS for fault in scenario.split("+")} == set(FAULTS)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_every_invariant_holds_under(scenario: str, trials: Trials) -> None:
    summary = await trials[scenario]
    if summary.skipped:
        pytest.skip(summary.skipped)
    assert not summary.error, summary.error
    assert not summary.violations, "\n".join(summary.violations)
    # The trial counts only if the faults were there, and hit something.
    assert not summary.is_void, summary.evidence
    assert summary.accepted >= 30
    assert summary.handled >= 10 * summary.accepted // 2


@pytest.mark.parametrize("scenario", [CONTROL])
async def test_a_suite_without_outbox_is_found_out(scenario: str, trials: Trials) -> None:
    summary = await trials[scenario]
    assert not summary.error, summary.error
    assert not summary.is_void, summary.evidence
    # Not only that the history lacks what was recorded: deliveries did not end.
    assert any(violation.startswith("I3 VIOLATED") for violation in summary.violations), summary.violations
