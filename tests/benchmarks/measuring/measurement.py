"""One contender at work: how much of what is asked for it gets done."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import asyncpg

from measuring.observer import LostWork, Observer
from measuring.percentiles import distribution, summary
from measuring.sender import sender
from measuring.usage import cpu_ms, load_cpu_ms, machine_cpu_ms, waited_ms
from peers.peer import Running
from shared_contracts.topology import PARTITIONS
from shared_runtime.partition import partition_of

WARM_UP_S = 2.0
WARM_UPS = 5
STEADY = 0.15
"""A warm-up ends when its rate differs by no more than this share from the one before, or after WARM_UPS."""
LIMIT_S = 300.0
SLOWEST_PER_S = 50.0
"""Whoever does less than this is given up."""
# Between two looks at how far it is: seldom, and often near the end.
LONGEST_WAIT_S = 0.5
FIRST_WAIT_S = 0.1
SHORTEST_WAIT_S = 0.02

Figures = dict[str, Any]
T = TypeVar("T")
Sample = tuple[float, int]
"""A moment (time.monotonic) and how many requests were scheduled then."""


class Measurement:
    """One contender at work, and what it has been asked for so far."""

    def __init__(
        self,
        running: Running,
        connections: int,
        drones: int,
        ports: Sequence[int] = (),
        scheduled: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        """`scheduled` says how many requests are scheduled; when it is not given, ingestion's table is asked."""
        self._running, self._connections, self._drones = running, connections, drones
        self._ports = ports or (running.port,)
        self._scheduled = scheduled
        self.accepted = 0

    async def warm_up(self) -> float:
        """Find out how many requests per second it schedules."""
        rate_per_s: float = (await self.measure(self._connections, 1))["scheduled_per_s"]
        for _ in range(WARM_UPS):
            before_per_s = rate_per_s
            rate_per_s = (await self.measure(rate_per_s, WARM_UP_S))["scheduled_per_s"]
            if abs(rate_per_s / before_per_s - 1) <= STEADY:
                break
        return rate_per_s

    async def measure(self, rate_per_s: float, seconds: float) -> Figures:
        """Send as many requests as take so long at this rate, and wait until all are scheduled."""
        wanted = math.ceil(rate_per_s * seconds / self._connections) * self._connections
        requests = self._within_drones(wanted)
        used_before, load_before = cpu_ms(self._running.parts), load_cpu_ms()
        # What the load takes to prepare is in its time, so it has to be in the machine's.
        window_begin, machine_before = time.perf_counter(), machine_cpu_ms()
        async with sender(self._ports, requests, self._connections) as load:
            begin = time.perf_counter()
            load.go()
            await self.wait_for(self.accepted + requests)
            elapsed_s = time.perf_counter() - begin
            output = await load.result(60)
        window_s, machine_ms = time.perf_counter() - window_begin, machine_cpu_ms() - machine_before
        used = cpu_ms(self._running.parts)
        self.accepted += requests
        spent_ms = {name: used[name] - used_before[name] for name in used} | {"load": load_cpu_ms() - load_before}
        others_ms = max(0.0, machine_ms - sum(spent_ms.values()))
        return {
            "requests": requests,
            "scheduled_per_s": round(requests / elapsed_s, 1),
            **output,
            "cpu_ms_per_delivery": {name: round(cpu_ms / requests, 3) for name, cpu_ms in spent_ms.items()},
            "others_percent": round(others_ms / (window_s * 10 * (os.cpu_count() or 1)), 1),
        }

    async def at_rate(
        self, observer: Observer, rate_per_s: float, seconds: float, beside: Awaitable[Figures] | None = None
    ) -> Figures:
        """Send requests at this rate, whatever becomes of them, and see how long each takes to be scheduled.

        `beside` is what goes on meanwhile, from the moment when the first is sent. Its figures come under that name.
        """
        requests = self._within_drones(math.ceil(rate_per_s * seconds))
        limit_s = LIMIT_S + seconds
        async with sender(self._ports, requests, self._connections, rate_per_s) as load:
            used_before, waited_before = cpu_ms(self._running.parts), waited_ms(self._running.parts)
            load.go()
            other = None if beside is None else asyncio.ensure_future(beside)
            try:
                output = await load.result(limit_s)
                due_ns: Mapping[str, int] = output.pop("due_ns")
                arrived_ns = await observer.wait_for(due_ns, limit_s)
                twice = sum(observer.events_of(session) > 1 for session in due_ns)
                used, waited = cpu_ms(self._running.parts), waited_ms(self._running.parts)
                async with asyncio.timeout(limit_s):
                    besides = {} if other is None else {"beside": await other}
            finally:
                if other is not None:
                    other.cancel()
        self.accepted += len(due_ns)
        await self.wait_for(self.accepted)
        latencies_ms = [(arrived_ns[session] - moment_ns) / 1e6 for session, moment_ns in due_ns.items()]
        begin_ns = min(due_ns.values())
        done_s = [(arrived_ns[session] - begin_ns) / 1e9 for session in due_ns]
        return {
            "requests": requests,
            "twice": twice,
            "asked_per_s": round(rate_per_s, 1),
            "scheduled_per_s": round(len(done_s) / max(done_s), 1),
            "scheduled_in_second_by_partition": _by_partition(dict(zip(due_ns, done_s, strict=True)), by_second),
            **output,
            "scheduled_ms": summary(latencies_ms),
            "distribution_ms": distribution(latencies_ms),
            "cpu_ms_per_delivery": {name: round((used[name] - used_before[name]) / requests, 3) for name in used},
            "waited_ms_per_delivery": {
                name: round((waited[name] - waited_before[name]) / requests, 3) for name in used
            },
            "scheduled_ms_by_partition": _by_partition(
                dict(zip(due_ns, latencies_ms, strict=True)), lambda some: summary(some) if some else {}
            ),
            **besides,
        }

    async def send(self, requests: int) -> Figures:
        """Send so many requests as fast as they are answered, and do not wait until they are scheduled."""
        requests = self._within_drones(requests)
        async with sender(self._ports, requests, self._connections) as load:
            load.go()
            output = await load.result(LIMIT_S + requests / SLOWEST_PER_S)
        self.accepted += requests
        return {"requests": requests, **output}

    async def scheduled(self) -> int:
        """How many requests are scheduled now."""
        async with self._counting() as scheduled:
            return await scheduled()

    @asynccontextmanager
    async def _counting(self) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        if self._scheduled is not None:
            yield self._scheduled
            return
        connection = await asyncpg.connect(self._running.ingestion_url)
        try:
            yield partial(connection.fetchval, self._running.scheduled_query)
        finally:
            await connection.close()

    async def wait_for(self, count: int) -> list[Sample]:
        """Wait until so many are scheduled. Returns how it went, look by look.

        Counting costs the database time, so it is asked seldom until the end. Raises LostWork.
        """
        async with self._counting() as scheduled:
            begin, at_begin = time.monotonic(), await scheduled()
            samples = [(begin, at_begin)]
            limit_s = LIMIT_S + max(0, count - at_begin) / SLOWEST_PER_S
            try:
                async with asyncio.timeout(limit_s) as limit:
                    while samples[-1][1] < count:
                        for part in self._running.parts:
                            part.process.require_running()
                        await asyncio.sleep(_until_next_look_s(samples, count))
                        number = await scheduled()
                        samples.append((time.monotonic(), number))
            except TimeoutError:
                if not limit.expired():
                    raise
                raise LostWork(f"{samples[-1][1]} of {count} requests were scheduled within {limit_s:.0f} s") from None
        return samples

    def _within_drones(self, requests: int) -> int:
        """As many requests as there are free drones for. Raises ValueError when there are none left."""
        if self._drones <= self.accepted:
            raise ValueError(f"all {self._drones} drones are booked: ask for more with --drones")
        return min(requests, self._drones - self.accepted)


def by_second(moments_s: Sequence[float]) -> list[int]:
    """How many of these moments are in the first second, how many in the next one, and so on."""
    counts = [0] * (int(max(moments_s, default=-1.0)) + 1)
    for moment_s in moments_s:
        counts[int(moment_s)] += 1
    return counts


def rate_between(samples: Sequence[Sample], low: float, high: float) -> float:
    """How many per second, from the first look at which at least the share `low` was scheduled of what came to be
    scheduled from the first look to the last one, to the first at which `high` was."""
    (_, first), (_, last) = samples[0], samples[-1]
    begin, end = (
        next(sample for sample in samples if sample[1] >= first + share * (last - first)) for share in (low, high)
    )
    if end[0] <= begin[0]:
        raise ValueError("it went faster than anybody looked")
    return (end[1] - begin[1]) / (end[0] - begin[0])


def moment_of(samples: Sequence[Sample], share: float) -> float:
    """When this share was scheduled of what came to be scheduled from the first look to the last one: between two
    looks as if it had gone on evenly."""
    first, last = samples[0][1], samples[-1][1]
    wanted = first + share * (last - first)
    for (begin, before), (end, after) in pairwise(samples):
        if after >= wanted and after > before:
            return begin + (end - begin) * (wanted - before) / (after - before)
    return samples[0][0]


def _by_partition(values: Mapping[str, float], told: Callable[[list[float]], T]) -> list[T]:
    """What is told of the values of each partition's sessions."""
    by_partition: list[list[float]] = [[] for _ in range(PARTITIONS)]
    for session, value in values.items():
        by_partition[partition_of(session, PARTITIONS)].append(value)
    return [told(some) for some in by_partition]


def _until_next_look_s(samples: Sequence[Sample], count: int) -> float:
    (begin, at_begin), (now, scheduled) = samples[0], samples[-1]
    if scheduled == at_begin:
        return FIRST_WAIT_S
    left_s = (count - scheduled) * (now - begin) / (scheduled - at_begin)
    return min(max(left_s / 2, SHORTEST_WAIT_S), LONGEST_WAIT_S)
