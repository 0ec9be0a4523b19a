"""What partitions have at the same time is one transaction; nobody suffers for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest

from shared_runtime import group_commit
from shared_runtime.errors import DatabaseUnavailable, StatementTimedOut
from shared_runtime.group_commit import GroupCommit, PartitionProcessor
from shared_runtime.messages import MessageProcessor
from shared_runtime.processor import BatchTooSlow
from shared_runtime.testing import eventually


class Messages:
    """Keeps what it is given to process, and is in the way where it is told to be."""

    def __init__(self) -> None:
        self.at_once: list[list[str]] = []
        self.alone: list[list[str]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.on_process: Callable[[Sequence[str]], None] = lambda received: None
        self.handler_takes_s: dict[str, float] = {}
        self.on_process_alone: Callable[[], None] = lambda: None
        self.patience_s: list[float] = []

    async def process_at_once(self, received: Sequence[str], *, patience_s: float) -> list[float]:
        self.at_once.append(list(received))
        self.patience_s.append(patience_s)
        await self.may_go_on.wait()
        self.on_process(received)
        return self._handlers_take_s(received)

    async def process(self, received: Sequence[str]) -> float:
        self.alone.append(list(received))
        if "bad" in received:
            raise ValueError("bad")
        self.on_process_alone()
        return sum(self._handlers_take_s(received))

    def _handlers_take_s(self, received: Sequence[str]) -> list[float]:
        return [self.handler_takes_s.get(one, 0.0) for one in received]


class Coming:
    """A partition that has something to hand over until it is told that it has not."""

    def __init__(self, *, has_something: bool = True) -> None:
        self.has_something = has_something
        self.bytes = 1
        self.looks = 0
        self.was_asked = asyncio.Event()

    @property
    def is_coming(self) -> bool:
        self.was_asked.set()
        self.looks += 1
        return self.has_something

    @property
    def waiting_bytes(self) -> int:
        return self.bytes

    async def is_looked_at_again(self) -> None:
        """Until somebody looked, found it not enough, and looked once more."""
        before = self.looks

        async def look() -> bool:
            return self.looks >= before + 2

        await eventually(look)


@pytest.fixture
async def messages() -> Messages:
    return Messages()


def group_of(messages: Messages) -> GroupCommit:
    return GroupCommit(cast("MessageProcessor", messages))


@pytest.fixture
async def group(messages: Messages) -> AsyncIterator[GroupCommit]:
    group = group_of(messages)
    task = asyncio.create_task(group.run())
    yield group
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def processor(group: GroupCommit) -> Any:
    return PartitionProcessor(group)


async def waiting(group: GroupCommit, messages: Messages, *, under_way: int, shares: int) -> None:
    """Until so many transactions have begun, and so many shares wait for the next one."""

    async def is_so() -> bool:
        return len(messages.at_once) == under_way and len(group._waiting) == shares

    await eventually(is_so)


async def soon(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(5):
        await task


async def test_what_comes_while_a_transaction_is_under_way_is_the_next_one(
    group: GroupCommit, messages: Messages
) -> None:
    messages.may_go_on.clear()
    first = asyncio.create_task(processor(group).process(["a"]))
    await waiting(group, messages, under_way=1, shares=0)
    others = [asyncio.create_task(processor(group).process([name, name])) for name in "bcd"]
    await waiting(group, messages, under_way=1, shares=3)
    messages.may_go_on.set()
    for task in (first, *others):
        await soon(task)
    assert messages.at_once == [["a"], ["b", "b", "c", "c", "d", "d"]]
    assert messages.alone == []


async def test_a_transaction_waits_for_those_that_are_about_to_come(group: GroupCommit, messages: Messages) -> None:
    late = Coming()
    group.partitions.append(late)

    async def come_late() -> None:
        await late.was_asked.wait()
        late.has_something = False
        await processor(group).process(["b"])

    await asyncio.gather(processor(group).process(["a"]), come_late())
    assert messages.at_once == [["a", "b"]]


async def test_it_does_not_wait_for_long(group: GroupCommit, messages: Messages) -> None:
    group.partitions.append(Coming())
    await soon(asyncio.create_task(processor(group).process(["a"])))
    assert messages.at_once == [["a"]]


async def test_each_is_on_its_own_when_something_is_in_the_way(group: GroupCommit, messages: Messages) -> None:
    def refuse(received: Sequence[str]) -> None:
        if "bad" in received:
            raise BatchTooSlow

    messages.on_process = refuse
    outcomes = await asyncio.gather(
        *(processor(group).process([name]) for name in ("a", "bad", "c")), return_exceptions=True
    )
    assert messages.at_once == [["a", "bad", "c"]]
    assert sorted(messages.alone) == [["a"], ["bad"], ["c"]]
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]


async def test_an_outage_concerns_all_and_nobody_tries_on_its_own(group: GroupCommit, messages: Messages) -> None:
    def fail(_: Sequence[str]) -> None:
        raise DatabaseUnavailable("gone")

    messages.on_process = fail
    outcomes = await asyncio.gather(*(processor(group).process([name]) for name in "ab"), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 2
    assert messages.alone == []
    messages.on_process = lambda received: None
    await soon(asyncio.create_task(processor(group).process(["a"])))


async def test_a_statement_without_an_answer_may_be_the_fault_of_one_which_stays_apart_then(
    group: GroupCommit, messages: Messages
) -> None:
    """It need not be the database: a loader may be slow. Also who was alone in the transaction stays apart."""

    def fail(received: Sequence[str]) -> None:
        if "slow" in received:
            raise StatementTimedOut("no answer")

    messages.on_process = fail
    messages.on_process_alone = lambda: fail(messages.alone[-1])
    slow, sound = processor(group), processor(group)
    for shares in ([slow.process(["slow"])], *([slow.process(["slow"]), sound.process(["a"])] for _ in range(3))):
        outcomes = await asyncio.gather(*shares, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StatementTimedOut, type(None)][: len(shares)]
    assert messages.at_once == [["slow"], ["a"], ["a"], ["a"]]


async def test_the_more_events_the_longer_their_handlers_may_take(group: GroupCommit, messages: Messages) -> None:
    for events in (1, 1000):
        await processor(group).process(["a"] * events)
    few_s, many_s = messages.patience_s
    assert 0.2 < few_s < 0.3
    assert 1 < many_s < 1.5


async def test_who_waits_for_the_database_and_not_for_its_handlers_goes_on_with_the_others(
    group: GroupCommit, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On busy processors everything takes long. On its own it would take longer, and make the others wait longer."""
    loop = asyncio.get_running_loop()
    clock, passed_s = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + passed_s)

    def take_long() -> None:
        nonlocal passed_s
        passed_s += 5

    def refuse(received: Sequence[str]) -> None:
        if "b" in received:
            raise BatchTooSlow

    messages.on_process = refuse
    messages.on_process_alone = take_long
    partition = processor(group)
    await partition.process(["b"])
    assert messages.alone == [["b"]]
    await partition.process(["a"])
    assert messages.at_once == [["b"], ["a"]]


async def test_when_all_are_too_slow_together_somebody_is_on_its_own(group: GroupCommit, messages: Messages) -> None:
    """Else they would be divided again and again, with nobody to blame."""

    def refuse(received: Sequence[str]) -> None:
        if sum(map(messages.handler_takes_s.__getitem__, received)) > 0.25:
            raise BatchTooSlow

    messages.on_process = refuse
    messages.handler_takes_s = dict.fromkeys("abcd", 0.1)
    partitions = [processor(group) for _ in "abcd"]
    group.partitions += [Coming(has_something=False) for _ in "abcd"]
    for _ in range(3):
        await asyncio.gather(*(one.process([name]) for one, name in zip(partitions, "abcd", strict=True)))
    assert messages.at_once == [["a", "b", "c", "d"]]
    assert sorted(messages.alone) == sorted([name] for name in "abcd" * 3)


async def test_a_handler_that_was_slow_at_the_end_of_a_transaction_is_found_too(
    group: GroupCommit, messages: Messages
) -> None:
    messages.handler_takes_s = {"slow": 0.3}
    slow, quick = processor(group), processor(group)
    for _ in range(2):
        await asyncio.gather(quick.process(["a", "a"]), slow.process(["slow"]))
    assert messages.at_once == [["a", "a", "slow"], ["a", "a"]]
    assert messages.alone == [["slow"]]


async def test_a_slow_partition_stays_on_its_own_for_a_while(group: GroupCommit, messages: Messages) -> None:
    messages.handler_takes_s = {"slow": 0.3}

    def refuse(received: Sequence[str]) -> None:
        if "slow" in received:
            raise BatchTooSlow

    messages.on_process = refuse
    slow, fast = processor(group), processor(group)
    await slow.process(["slow"])
    messages.at_once.clear()
    await asyncio.gather(slow.process(["slow"]), fast.process(["a"]))
    assert messages.at_once == [["a"]]
    slow._apart_until_s -= group_commit.APART_S
    await slow.process(["b"])
    assert messages.at_once == [["a"], ["b"]]


async def test_a_partition_that_cannot_go_on_does_not_divide_the_others_again_and_again(
    group: GroupCommit, messages: Messages
) -> None:
    def refuse(received: Sequence[str]) -> None:
        if "bad" in received:
            raise BatchTooSlow

    messages.on_process = refuse
    stuck, sound = processor(group), processor(group)
    for _ in range(3):
        outcomes = await asyncio.gather(stuck.process(["bad"]), sound.process(["a"]), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ValueError, type(None)]
    assert messages.at_once == [["bad", "a"], ["a"], ["a"]]


async def test_who_is_cancelled_leaves_nothing_behind(group: GroupCommit, messages: Messages) -> None:
    messages.may_go_on.clear()
    tasks = [asyncio.create_task(processor(group).process([name])) for name in "ab"]
    await waiting(group, messages, under_way=1, shares=0)
    late = asyncio.create_task(processor(group).process(["c"]))
    await waiting(group, messages, under_way=1, shares=1)
    late.cancel()
    tasks[0].cancel()
    messages.may_go_on.set()
    await soon(tasks[1])
    await processor(group).process(["d"])
    assert messages.at_once == [["a", "b"], ["d"]]


async def test_a_loop_that_ends_takes_its_shares_along(messages: Messages) -> None:
    """The lane keeps its batch then, and hands it over again."""
    group = GroupCommit(messages)  # type: ignore[arg-type]
    messages.may_go_on.clear()
    loop = asyncio.create_task(group.run())
    task = asyncio.create_task(processor(group).process(["a"]))
    await waiting(group, messages, under_way=1, shares=0)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    messages.may_go_on.set()
    again = asyncio.create_task(group.run())
    await soon(asyncio.create_task(processor(group).process(["a"])))
    again.cancel()


async def test_nobody_takes_anything_until_it_can_be_handed_over(group: GroupCommit, messages: Messages) -> None:
    messages.may_go_on.clear()
    first = asyncio.create_task(processor(group).process(["a"]))
    await waiting(group, messages, under_way=1, shares=0)
    was_open = []

    async def take() -> None:
        await processor(group).turn()
        was_open.append(group.is_open.is_set())

    turn = asyncio.create_task(take())
    messages.may_go_on.set()
    await soon(first)
    await soon(turn)
    assert was_open == [True]


async def test_who_is_on_its_own_waits_for_no_turn(group: GroupCommit, messages: Messages) -> None:
    def refuse(received: Sequence[str]) -> None:
        if "bad" in received:
            raise BatchTooSlow

    messages.on_process = refuse
    own = processor(group)
    with suppress(ValueError):
        await own.process(["bad"])
    messages.may_go_on.clear()
    first = asyncio.create_task(processor(group).process(["a"]))
    await waiting(group, messages, under_way=2, shares=0)
    await soon(asyncio.create_task(own.turn()))
    messages.may_go_on.set()
    await soon(first)


def test_what_all_partitions_have_together_is_enough(messages: Messages) -> None:
    group = group_of(messages)
    one, other = Coming(), Coming()
    group.partitions += [one, other]
    assert not group.has_enough()
    one.bytes = other.bytes = group_commit.ENOUGH_BYTES // 2
    assert group.has_enough()


def test_what_cannot_go_on_is_not_enough(messages: Messages) -> None:
    group = group_of(messages)
    in_trouble = Coming(has_something=False)
    in_trouble.bytes = group_commit.ENOUGH_BYTES
    group.partitions.append(in_trouble)
    assert not group.has_enough()
    in_trouble.has_something = True
    assert group.has_enough()


async def test_what_was_handed_over_can_be_enough(messages: Messages) -> None:
    group = group_of(messages)
    events = group_commit.ENOUGH_BYTES // group_commit.TYPICAL_EVENT_BYTES
    shares = [asyncio.create_task(processor(group).process(["a"] * events))]
    await waiting(group, messages, under_way=0, shares=1)
    assert not group.has_enough()
    shares.append(asyncio.create_task(processor(group).process(["b"])))
    await waiting(group, messages, under_way=0, shares=2)
    assert group.has_enough()
    for share in shares:
        share.cancel()


async def test_partitions_take_nothing_before_the_rest_after_a_transaction_is_over(
    group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def rest(took_s: float, is_enough: Callable[[], bool]) -> None:
        assert is_enough == group.has_enough
        begun.set()
        await may_end.wait()

    monkeypatch.setattr(group_commit, "rest", rest)
    await soon(asyncio.create_task(processor(group).process(["a"])))
    await soon(asyncio.create_task(begun.wait()))
    assert not group.is_open.is_set()
    may_end.set()
    await soon(asyncio.create_task(processor(group).turn()))
