"""Whether the others notice that one delivery gets thousands of messages."""

import argparse
import asyncio
import os
import time
from collections.abc import Iterable
from datetime import datetime
from statistics import fmean
from uuid import UUID

import asyncpg
from measuring.hot_session import command
from measuring.markdown import table
from measuring.measurement import Measurement
from measuring.observer import LostWork, Observer
from measuring.sender import Sender, prepared
from measuring.svg import line_chart

from peers.suite import RunningSuite
from peers.work import SUITE_EVIDENCE, Evidence
from scenarios.scenario import Figures, Scenario, faults_of, picture_of, suite_at_work, suite_cpu_ms
from shared_contracts.delivery.v1 import DeliveryScheduled
from shared_contracts.topology import PARTITIONS
from shared_runtime.partition import partition_of

NAME = "hot"
ALONE = ("alone, before", "alone, after")
BESIDE = "beside the hot session"
MESSAGES = 10_000
LONGER = 2
"""How many times as long as any other load these last, so that the hot messages are handled before they end."""
LEAST_SHARE = 0.9
"""Of the others' rate alone, beside the hot session."""
LIMIT_S = 180.0
_LOOK_AGAIN_S = 0.1
# The hot delivery gets other times again and again. It stays scheduled, with the drone it has.
SCHEDULED_STAGES = "stage IN ('Created', 'Rescheduled')"
HOT_EVIDENCE = Evidence(
    deliveries={
        **SUITE_EVIDENCE.deliveries,
        "ingestion": f"SELECT delivery_id::text FROM delivery_progress WHERE {SCHEDULED_STAGES}",  # noqa: S608
        "delivery": f"SELECT delivery_id::text FROM delivery WHERE {SCHEDULED_STAGES}",  # noqa: S608
    },
    bookings=SUITE_EVIDENCE.bookings,
    rows=SUITE_EVIDENCE.rows,
)
# Each of them is a line of history, and an event that tells ingestion and the scheduler of it.
LEFT_BY_HOT = {
    ("delivery", "inbox"): MESSAGES,
    ("delivery", "tracking_event"): MESSAGES,
    ("ingestion", "inbox"): MESSAGES,
    ("drone_scheduler", "inbox"): MESSAGES,
}
SECTION = """## A hot session

Deliveries are asked for at half of the saturation rate ({asked:,.0f} per second), first alone, then while {messages:,}
messages that ask for other times of one and the same delivery are published straight to the broker as fast as it takes
them, one AMQP message each, into one of the queues that the others' packages and drones go through; then alone again.
All of them were handled, the last one as the last: the delivery has a line of history for each, and delivery, ingestion
and the scheduler know the times of the last. At saturation the others would have to share the processors with them,
whatever the order; at half of it, they should notice nothing.

![The share of the others that were scheduled within a time]({picture})

{table}
Bold: the partition of the hot session. Processors: how many the suite and its servers took while that load lasted, of
{processors}, the load itself and the publisher of the hot messages not counted. The hot messages were published within
{published:.1f} s and handled after {handled:.1f} s. What is compared is what was scheduled in the first {span} s of
each load. The others' rate beside the hot session is **{ratio:.1%}** of their rate alone, and is to be at least
{least:.0%}: **{verdict}**. Of those in the other partitions it is {apart:.1%}, of those in the partition of the hot
session, who stand in one queue with its messages and wait until those before them are handled, {behind:.1%}.
"""


async def measure(options: argparse.Namespace) -> Figures:
    """Alone, beside the hot session, alone."""
    with suite_at_work(options) as (running, measurement):
        warm_per_s = await measurement.warm_up()
        saturation = await measurement.measure(warm_per_s, options.seconds)
        asked_per_s = saturation["scheduled_per_s"] / 2
        seconds = options.seconds * LONGER
        async with Observer.watching(running.broker_url, DeliveryScheduled) as observer:
            before = await measurement.at_rate(observer, asked_per_s, seconds)
            beside, hot = await _beside(running, measurement, observer, asked_per_s, seconds)
            after = await measurement.at_rate(observer, asked_per_s, seconds)
        wrong = await _faults(running, UUID(hot["delivery_id"]), datetime.fromisoformat(hot["last_pickup_time"]))
        wrong += await running.verify(measurement.accepted, HOT_EVIDENCE, LEFT_BY_HOT)
    loads = {ALONE[0]: before, BESIDE: beside, ALONE[1]: after}
    wrong += faults_of({"saturation": saturation, **loads})
    span_s = int(min(hot["handled_s"], seconds))
    if span_s < 1:
        wrong.append("the hot session was over before the others' rate could be told: ask for more --seconds")
    return {"saturation": saturation, "loads": loads, "hot": hot, "span_s": span_s, "wrong": wrong}


async def _beside(
    running: RunningSuite, measurement: Measurement, observer: Observer, rate_per_s: float, seconds: float
) -> tuple[Figures, Figures]:
    connection = await asyncpg.connect(running.database_url("delivery"))
    try:
        delivery_id = await connection.fetchval("SELECT delivery_id FROM delivery WHERE stage = 'Created' LIMIT 1")
        async with prepared(command(delivery_id, MESSAGES), LIMIT_S, {"BROKER_URL": running.broker_url}) as publisher:
            handled = _handled(connection, publisher, delivery_id)
            figures = await measurement.at_rate(observer, rate_per_s, seconds, handled)
    finally:
        await connection.close()
    partition = partition_of(str(delivery_id), PARTITIONS)
    return figures, {"delivery_id": str(delivery_id), "partition": partition, **figures.pop("beside")}


async def _handled(connection: asyncpg.Connection, publisher: Sender, delivery_id: UUID) -> Figures:
    """Publish, and wait until all of it is handled."""
    known = "SELECT tracking_events FROM delivery WHERE delivery_id = $1"
    wanted = await connection.fetchval(known, delivery_id) + MESSAGES
    begin = time.monotonic()
    publisher.go()
    figures = await publisher.result(LIMIT_S)
    end_s = time.monotonic() + LIMIT_S
    while (found := await connection.fetchval(known, delivery_id)) < wanted:
        if time.monotonic() > end_s:
            raise LostWork(f"{wanted - found} of {MESSAGES} hot messages were not handled within {LIMIT_S:.0f} s")
        await asyncio.sleep(_LOOK_AGAIN_S)
    return {**figures, "handled_s": round(time.monotonic() - begin, 2)}


async def _faults(running: RunningSuite, delivery_id: UUID, last: datetime) -> list[str]:
    """What is wrong with the rows of the hot delivery, once all services have heard of its last change."""
    deadline = time.monotonic() + LIMIT_S
    while wrong := [
        fault
        for service, query, wanted in (
            ("delivery", "SELECT pickup_time FROM delivery WHERE delivery_id = $1", last),
            ("delivery", "SELECT count(*) FROM tracking_event WHERE delivery_id = $1", 1 + MESSAGES),
            ("ingestion", "SELECT pickup_time FROM delivery_progress WHERE delivery_id = $1", last),
            ("drone_scheduler", "SELECT pickup_time FROM booking WHERE delivery_id = $1", last),
        )
        if (fault := await _fault(running, service, query, delivery_id, wanted)) is not None
    ]:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
    return wrong


async def _fault(
    running: RunningSuite, service: str, query: str, delivery_id: UUID, wanted: datetime | int
) -> str | None:
    connection = await asyncpg.connect(running.database_url(service))
    try:
        found = await connection.fetchval(query, delivery_id)
    finally:
        await connection.close()
    return None if found == wanted else f"{service}: {query!r} tells {found}, not {wanted}"


def section(figures: Figures) -> str:
    """A row per load, and whether the promise was kept."""
    loads = figures["loads"]
    span_s = figures["span_s"]
    ratio = share_left(loads, span_s)
    partition = figures["hot"]["partition"]
    return SECTION.format(
        picture=picture_of(NAME),
        asked=loads[BESIDE]["asked_per_s"],
        span=span_s,
        messages=MESSAGES,
        published=figures["hot"]["published_s"],
        handled=figures["hot"]["handled_s"],
        ratio=ratio,
        apart=share_left(loads, span_s, [number for number in range(PARTITIONS) if number != partition]),
        behind=share_left(loads, span_s, [partition]),
        least=LEAST_SHARE,
        processors=os.cpu_count(),
        verdict="kept" if ratio >= LEAST_SHARE else "not kept",
        table=table(
            ("the others", f"per second in {span_s} s", "p50 ms", "p99 ms", "p99 ms by partition", "processors"),
            (
                (
                    name,
                    f"{rate_within(one, span_s):,.0f}",
                    *(f"{one['scheduled_ms'][percent]:,.0f}" for percent in ("p50", "p99")),
                    ", ".join(_p99s(one, partition)),
                    f"{suite_cpu_ms(one) * one['scheduled_per_s'] / 1000:.2f}",
                )
                for name, one in loads.items()
            ),
        ),
    )


def share_left(loads: dict[str, Figures], span_s: int, partitions: Iterable[int] = range(PARTITIONS)) -> float:
    """The rate of the others in these partitions beside the hot session, as a share of the mean of their rates alone,
    in so many seconds."""
    some = tuple(partitions)
    return rate_within(loads[BESIDE], span_s, some) / fmean(rate_within(loads[name], span_s, some) for name in ALONE)


def rate_within(load: Figures, span_s: int, partitions: Iterable[int] = range(PARTITIONS)) -> float:
    """How many in these partitions were scheduled per second in the first so many seconds of a load."""
    counts = load["scheduled_in_second_by_partition"]
    return float(sum(sum(counts[partition][:span_s]) for partition in partitions) / span_s)


def _p99s(load: Figures, hot_partition: int) -> list[str]:
    values = [f"{one['p99']:,.0f}" if one else "none" for one in load["scheduled_ms_by_partition"]]
    return [f"**{value}**" if number == hot_partition else value for number, value in enumerate(values)]


def drawing(figures: Figures) -> str:
    """How long the others take, with and without."""
    lines = {
        name: [(latency_ms, share * 100) for share, latency_ms in one["distribution_ms"]]
        for name, one in figures["loads"].items()
    }
    return line_chart("Others scheduled within a time", lines, across="milliseconds", up="percent")


HOT = Scenario(NAME, measure, section, drawing)
