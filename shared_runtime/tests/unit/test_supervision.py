"""Loops go on after whatever ends them, except when they are told to stop."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared_runtime.errors import DatabaseUnavailable
from shared_runtime.supervision import Pause, Supervisor, was_cancelled
from shared_runtime.testing import eventually


@pytest_asyncio.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    supervisor.healthy_after_s = 0.1
    yield supervisor
    await supervisor.stop()


class Loop:
    """Fails as told, then runs."""

    def __init__(self, *failures: BaseException | None) -> None:
        self.failures = list(failures)
        self.runs = 0
        self.cancelled = False

    async def __call__(self) -> None:
        self.runs += 1
        if self.failures:
            failure = self.failures.pop(0)
            if failure is None:
                return
            raise failure
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.parametrize(
    ("failure", "reported"),
    [
        (ValueError("bug"), "ValueError: bug"),
        (DatabaseUnavailable("gone"), "DatabaseUnavailable: gone"),
        (ConnectionResetError("gone"), "ConnectionResetError: gone"),
        # aiormq ends what waits for a broken connection as if it had been cancelled.
        (asyncio.CancelledError(), "CancelledError from a broken connection"),
        (None, "returned"),
    ],
)
async def test_a_loop_that_ends_is_started_again(
    supervisor: Supervisor, failure: BaseException | None, reported: str
) -> None:
    loop = Loop(failure)
    supervisor.start("loop", loop)

    async def is_reported() -> bool:
        return supervisor.failing.get("loop") == reported

    async def runs_again() -> bool:
        return loop.runs == 2

    await eventually(is_reported, interval_s=0.001)
    await eventually(runs_again, interval_s=0.001)


async def test_a_loop_that_works_again_is_no_longer_reported(supervisor: Supervisor) -> None:
    loop = Loop(ValueError("bug"))
    supervisor.start("loop", loop)

    async def is_reported() -> bool:
        return "loop" in supervisor.failing

    async def is_forgiven() -> bool:
        return not supervisor.failing and loop.runs == 2

    await eventually(is_reported, interval_s=0.001)
    await eventually(is_forgiven)


async def test_a_loop_that_fails_again_and_again_stays_reported(supervisor: Supervisor) -> None:
    supervisor.healthy_after_s = 10
    loop = Loop(*(ValueError(str(number)) for number in range(3)))
    supervisor.start("loop", loop)

    async def has_failed_three_times() -> bool:
        return supervisor.failing.get("loop") == "ValueError: 2"

    await eventually(has_failed_three_times, interval_s=0.001)


async def test_stopping_ends_loops_and_leaves_the_others(supervisor: Supervisor) -> None:
    one, other = Loop(), Loop()
    supervisor.start("one", one)
    supervisor.start("other", other)

    async def run() -> bool:
        return one.runs == other.runs == 1

    await eventually(run)
    await supervisor.stop(but=["other"])
    assert (one.cancelled, other.cancelled) == (True, False)
    await supervisor.stop()
    assert other.cancelled


async def test_stopping_does_not_wait_for_a_loop_that_does_not_end(supervisor: Supervisor) -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await released.wait()

    supervisor.start("stubborn", stubborn)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await supervisor.stop(timeout_s=0.05)
    released.set()


async def test_a_name_is_taken_once(supervisor: Supervisor) -> None:
    supervisor.start("loop", Loop())
    with pytest.raises(ValueError, match="runs already"):
        supervisor.start("loop", Loop())


async def test_a_cancellation_is_told_from_its_imitation() -> None:
    answers: list[bool] = []

    async def imitation() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        try:
            await future
        except asyncio.CancelledError:
            answers.append(was_cancelled())

    async def real() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            answers.append(was_cancelled())
            raise

    await imitation()
    task = asyncio.create_task(real())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert answers == [False, True]


def test_pauses_grow_and_begin_anew_after_success() -> None:
    pause = Pause(initial_s=0.1, max_s=1.0)
    pauses_s = [pause.next_s() for _ in range(2_000)]
    assert 0.05 <= pauses_s[0] <= 0.1
    assert 0.1 <= pauses_s[1] <= 0.2
    assert all(0.5 <= pause_s <= 1.0 for pause_s in pauses_s[5:])
    pause.reset()
    assert pause.next_s() <= 0.1
