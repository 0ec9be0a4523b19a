"""What a second process of every service is good for on one machine."""

import argparse

from measuring.markdown import spread, table

from peers.suite import CORE
from scenarios.scenario import (
    Figures,
    Scenario,
    by_turns,
    faults_of,
    median_of_ratios,
    scheduled_per_s,
    suite_at_work,
    suite_cpu_ms,
)

COUNTS = (1, 2)
SECTION = """## Replicas

Saturation with one process and with two of each service that a delivery passes through, by turns, each time on new
servers. Requests go to the processes of ingestion alternately; of the processes of a service, each partition of a
subscription has one that it is active for, whichever came first. Everything shares the processors of one machine, so
this tells what a replica costs, and what it is good for only as far as processors were idle. Median of {rounds} rounds;
the ratio is the median of each round's own. CPU is that of the whole suite with both servers.

{table}
How the work was divided, as the CPU time of the second process in that of both: {shares}.
"""


async def measure(options: argparse.Namespace) -> Figures:
    """As many rounds as the contenders have."""
    orders = by_turns(COUNTS, options.rounds)
    rounds = [{str(replicas): await _measure(options, replicas) for replicas in order} for order in orders]
    named = {f"{count} x, round {number}": one for number, both in enumerate(rounds) for count, one in both.items()}
    wrong = [f"{name}: {fault}" for name, one in named.items() for fault in one["wrong"]]
    return {"rounds": rounds, "wrong": wrong + faults_of(named)}


async def _measure(options: argparse.Namespace, replicas: int) -> Figures:
    with suite_at_work(options, replicas=replicas) as (running, measurement):
        warm_per_s = await measurement.warm_up()
        figures = await measurement.measure(warm_per_s, options.seconds)
        wrong = await running.verify(measurement.accepted)
        return {**figures, "start_up_s": round(running.start_up_s, 2), "wrong": wrong}


def section(figures: Figures) -> str:
    """A row per number of replicas, and one that compares them."""
    rounds = figures["rounds"]
    by_count = {count: [one[str(count)] for one in rounds] for count in COUNTS}
    few, many = (by_count[count] for count in COUNTS)
    rows = [
        (
            f"{count}",
            spread(map(scheduled_per_s, ones), ",.0f"),
            spread(map(suite_cpu_ms, ones), ".2f"),
            spread((one["start_up_s"] for one in ones), ".1f"),
        )
        for count, ones in by_count.items()
    ]
    rows.append(
        (
            "two / one",
            f"{median_of_ratios(many, few, scheduled_per_s):.2f}",
            f"{median_of_ratios(many, few, suite_cpu_ms):.2f}",
            "",
        )
    )
    head = ("processes per service", "scheduled per second", "CPU ms per delivery", "start-up, s")
    return SECTION.format(rounds=len(rounds), table=table(head, rows), shares=", ".join(_shares(many)))


def _shares(rounds: list[Figures]) -> list[str]:
    shares = []
    for service in CORE:
        first, second = (sum(one["cpu_ms_per_delivery"][name] for one in rounds) for name in (service, f"{service}-2"))
        shares.append(f"{service} {second / ((first + second) or 1):.0%}")
    return shares


REPLICAS = Scenario("replicas", measure, section)
