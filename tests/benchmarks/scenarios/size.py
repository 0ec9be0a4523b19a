"""Whether it gets slower when the databases are full of what was delivered before."""

import argparse
import statistics
import time
from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg
import httpx
from measuring.markdown import spread, table
from measuring.svg import bar_chart

from peers.suite import CORE, RunningSuite
from peers.work import SUITE_EVIDENCE, Evidence
from scenarios.filling import FINISHED_TABLES, fill
from scenarios.scenario import Figures, Scenario, faults_of, picture_of, suite_at_work, suite_cpu_ms
from shared_runtime.envelope import new_id

NAME = "size"
ROUNDS_OF_DRONES = 3
"""For so many loads on the same servers the drones are enough that are asked for."""
KEYS = {"package": "package_id", "inbox": "message_id", "outbox": "id"}
"""The tables of which the key is not `delivery_id`."""
SECTION = """## Full databases

Saturation with deliveries in the databases that were asked for, flown and completed (a few of them failed) in the days
before, with their history, their bookings and what the inboxes remember of them; each time on new servers. Median of
{rounds} loads one after the other (lowest to highest). As the speed of a machine changes while a database is filled,
the fewest deliveries are measured again after all the others, and each rate is compared with the better one of these
two. Behind each load's rate stands the other work: what of the processors went to the kernel and to others. Afterwards
the new deliveries were compared as ever, and none of the old ones had changed in number.

![Scheduled deliveries per second]({picture})

{table}"""


async def measure(options: argparse.Namespace) -> Figures:
    """Each size on servers of its own, in the order of `turns`."""
    sizes: dict[int, Figures] = {}
    again: list[Figures] = []
    wrong: list[str] = []
    for deliveries in turns(options.sizes):
        one = await _measure(options, deliveries)
        wrong += [f"{deliveries:,} deliveries: {fault}" for fault in one.pop("wrong")]
        if deliveries in sizes:
            again += one["loads"]
        else:
            sizes[deliveries] = one
    return {"sizes": sizes, "again": again, "wrong": wrong}


def turns(sizes: Iterable[int]) -> list[int]:
    """The smallest size first, and once more after the largest: the speed of a machine changes while that is filled."""
    ascending = sorted(set(sizes))
    return ascending if len(ascending) < 2 else [*ascending, ascending[0]]


async def _measure(options: argparse.Namespace, deliveries: int) -> Figures:
    drones = options.drones * options.rounds // ROUNDS_OF_DRONES
    with suite_at_work(options, drones=drones) as (running, measurement):
        begin = time.monotonic()
        completed_id, owner_id = await fill(running, deliveries)
        filled_s = time.monotonic() - begin
        wrong = await _old_faults(running, deliveries, completed_id, owner_id)
        stored_mib = await _stored_mib(running)
        since = new_id()
        warm_per_s = await measurement.warm_up()
        loads = [await measurement.measure(warm_per_s, options.seconds) for _ in range(options.rounds)]
        wrong += await running.verify(measurement.accepted, evidence_since(since))
        wrong += await _old_faults(running, deliveries, completed_id, owner_id)
    wrong += faults_of({f"load {number}": one for number, one in enumerate(loads)})
    return {"filled_s": round(filled_s, 1), "stored_mib": stored_mib, "loads": loads, "wrong": wrong}


def evidence_since(moment: UUID) -> Evidence:
    """What is to be found of the deliveries since a moment, beside those of the days before."""
    return Evidence(
        deliveries=SUITE_EVIDENCE.deliveries,
        # The drone that a delivery of the days before had is free again.
        bookings={
            "drones": SUITE_EVIDENCE.bookings["drones"],
            "bookings": (
                "drone_scheduler",
                "SELECT delivery_id || ' ' || drone_id FROM booking WHERE status NOT IN ('Completed', 'Released')",
            ),
            "deliveries": (
                "delivery",
                "SELECT delivery_id || ' ' || drone_id FROM delivery WHERE drone_id IS NOT NULL AND ended_at IS NULL",
            ),
        },
        rows={
            (service, f"{table} WHERE {KEYS.get(table, 'delivery_id')} > '{moment}'" if times else table): times
            for (service, table), times in SUITE_EVIDENCE.rows.items()
        },
    )


async def _old_faults(running: RunningSuite, deliveries: int, completed_id: UUID, owner_id: str) -> list[str]:
    """What is wrong with the deliveries of the days before: as many as there were, and the services can read them."""
    wrong = []
    for service, finished in FINISHED_TABLES.items():
        connection = await asyncpg.connect(running.database_url(service))
        try:
            found = await connection.fetchval(f"SELECT count(*) FROM {finished}", timeout=120)  # noqa: S608
        finally:
            await connection.close()
        if found != deliveries:
            wrong.append(f"{service} has {found} deliveries of the days before instead of {deliveries}")
    async with httpx.AsyncClient(headers={"X-Subject": owner_id}, timeout=30) as client:
        for service, path in (("ingestion", "deliveryrequests"), ("delivery", "deliveries")):
            answer = await client.get(f"{running.base_url(service)}/api/v1/{path}/{completed_id}")
            if not answer.is_success or answer.json()["stage"] != "Completed":
                wrong.append(f"{service} tells of the completed delivery {completed_id}: {answer.text[:300]}")
    return wrong


async def _stored_mib(running: RunningSuite) -> float:
    connection = await asyncpg.connect(running.servers.postgres.admin_url)
    try:
        stored = await connection.fetchval(
            "SELECT sum(pg_database_size(datname)) FROM pg_database WHERE datname = ANY($1)", list(CORE)
        )
    finally:
        await connection.close()
    return round(float(stored) / 2**20, 1)


def ratios(figures: Figures) -> dict[int, float]:
    """The rate by how many deliveries there were before, in the better one of the two with the fewest."""
    rates = {deliveries: _median_per_s(one["loads"]) for deliveries, one in figures["sizes"].items()}
    best_per_s = rates[min(rates)]
    if figures["again"]:
        best_per_s = max(best_per_s, _median_per_s(figures["again"]))
    return {deliveries: per_s / best_per_s for deliveries, per_s in rates.items()}


def _median_per_s(loads: Iterable[Figures]) -> float:
    return float(statistics.median(load["scheduled_per_s"] for load in loads))


def section(figures: Figures) -> str:
    """A row per size, and one for the fewest deliveries again."""
    sizes, in_best = figures["sizes"], ratios(figures)
    rows = [
        (f"{deliveries:,}", f"{one['stored_mib']:,.0f}", *_rates(one["loads"]), f"{in_best[deliveries]:.2f}")
        for deliveries, one in sizes.items()
    ]
    if figures["again"]:
        rows.append((f"{min(sizes):,} again", "", *_rates(figures["again"]), ""))
    head = ("deliveries before", "MiB stored", "per second", "CPU ms per delivery", "load by load", "in the best")
    rounds = len(sizes[min(sizes)]["loads"])
    return SECTION.format(rounds=rounds, picture=picture_of(NAME), table=table(head, rows))


def _rates(loads: Sequence[Figures]) -> tuple[str, str, str]:
    return (
        spread([load["scheduled_per_s"] for load in loads], ",.0f"),
        spread(map(suite_cpu_ms, loads), ".2f"),
        ", ".join(f"{load['scheduled_per_s']:,.0f} ({load['others_percent']:.0f} %)" for load in loads),
    )


def drawing(figures: Figures) -> str:
    """A bar per size, and one for the fewest deliveries again."""
    sizes = figures["sizes"]
    bars = {f"{deliveries:,} deliveries": _median_per_s(one["loads"]) for deliveries, one in sizes.items()}
    if figures["again"]:
        bars[f"{min(sizes):,} again"] = _median_per_s(figures["again"])
    return bar_chart("Scheduled deliveries per second", bars)


SIZE = Scenario(NAME, measure, section, drawing)
