"""Commands that come together share a transaction, and after it those that come next gather for another one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared_runtime import commands as module
from shared_runtime.commands import Commands
from shared_runtime.processor import Ending, Job, Processor
from shared_runtime.testing import eventually


class Transactions:
    """Stands for the processor: every command succeeds, and the commands of each transaction are kept."""

    consumer = SimpleNamespace(registrations={str: None})

    def __init__(self) -> None:
        self.done: list[list[str]] = []

    def envelope_for(self, kind: str, **attributes: Any) -> Any:
        return SimpleNamespace(type=kind, **attributes)

    async def run_isolating(self, jobs: Sequence[Job], *_: Any) -> None:
        self.done.append([job.message for job in jobs])
        for job in jobs:
            job.result, job.ending = job.message, Ending.HANDLED


class Rests:
    """Stands for the rest after a transaction: it ends when enough is there or when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = False

    async def __call__(self, took_s: float, is_enough: Callable[[], bool]) -> None:
        self.begun += 1

        async def is_over() -> bool:
            return self.may_end or is_enough()

        await eventually(is_over)


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> Rests:
    rests = Rests()
    monkeypatch.setattr(module, "rest", rests)
    return rests


@pytest.fixture
def transactions() -> Transactions:
    return Transactions()


@pytest.fixture
async def commands(transactions: Transactions, rests: Rests) -> AsyncIterator[Commands]:
    commands = Commands(cast("Processor", transactions))
    task = asyncio.create_task(commands.run())
    yield commands
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def waiting(commands: Commands, number: int) -> None:
    """Until so many wait for their transaction."""

    async def is_so() -> bool:
        return commands.waiting == number

    await eventually(is_so)


async def test_who_comes_during_the_rest_shares_the_next_transaction(
    commands: Commands, transactions: Transactions, rests: Rests
) -> None:
    assert await asyncio.gather(*map(commands.execute, ["a", "b"])) == ["a", "b"]
    late = [asyncio.create_task(commands.execute("c"))]
    await waiting(commands, 1)
    late.append(asyncio.create_task(commands.execute("d")))
    await waiting(commands, 2)
    assert transactions.done == [["a", "b"]]
    rests.may_end = True
    assert await asyncio.gather(*late) == ["c", "d"]
    assert transactions.done == [["a", "b"], ["c", "d"]]


async def test_enough_commands_do_not_wait_for_the_end_of_the_rest(
    commands: Commands, transactions: Transactions, rests: Rests
) -> None:
    await asyncio.gather(*map(commands.execute, ["a", "b"]))
    almost = [asyncio.create_task(commands.execute("c")) for _ in range(module.ENOUGH - 1)]
    await waiting(commands, module.ENOUGH - 1)
    assert rests.begun == 1
    assert len(transactions.done) == 1
    await asyncio.gather(commands.execute("c"), *almost)
    assert [len(one) for one in transactions.done] == [2, module.ENOUGH]


async def test_who_sends_one_after_the_other_waits_for_no_rest(
    commands: Commands, transactions: Transactions, rests: Rests
) -> None:
    for command in "abc":
        assert await commands.execute(command) == command
    assert transactions.done == [["a"], ["b"], ["c"]]
    assert rests.begun == 0
