"""How much memory every process takes, and how long it takes until all are ready."""

import argparse
import asyncio

from measuring.markdown import table
from measuring.usage import forget_peak, largest_mib, peak_mib, proportional_mib, resident_mib

from local_stack.part import Part
from peers.suite import RunningSuite
from scenarios.scenario import Figures, Scenario, faults_of, suite_at_work

SETTLING_S = 5.0
"""After the start, and after the load: what is still to be written or given back has had time."""
SECTION = """## Memory and start-up

MiB of resident memory: {settling:.0f} s after the start, at most during {requests:,} deliveries at saturation
({rate:,.0f} per second), and {settling:.0f} s after them. PostgreSQL and RabbitMQ are the sums of all their processes;
what PostgreSQL's processes share, and what each maps of it, counts once (PSS), so its peak is not known. The last
column is the largest single process, with all that it shares.

{table}
From the start of the first process to all ready, with new servers, empty databases and their migrations:
**{start_up:.1f} s**.
"""


async def measure(options: argparse.Namespace) -> Figures:
    """Idle, loaded, idle again."""
    with suite_at_work(options) as (running, measurement):
        await asyncio.sleep(SETTLING_S)
        parts = {part.name: part for part in [running.servers.postgres, running.servers.rabbitmq, *running.services]}
        idle = {name: _mib(part, running) for name, part in parts.items()}
        for part in parts.values():
            forget_peak(part)
        warm_per_s = await measurement.warm_up()
        saturation = await measurement.measure(warm_per_s, options.seconds)
        peak = {name: peak_mib(part) for name, part in parts.items() if part is not running.servers.postgres}
        await asyncio.sleep(SETTLING_S)
        after = {name: _mib(part, running) for name, part in parts.items()}
        largest = {name: largest_mib(part) for name, part in parts.items()}
        wrong = await running.verify(measurement.accepted)
    wrong += [f"{name} has no memory" for figures in (idle, peak, after) for name, mib in figures.items() if mib <= 0]
    return {
        "start_up_s": round(running.start_up_s, 2),
        "idle_mib": idle,
        "peak_mib": peak,
        "after_mib": after,
        "largest_mib": largest,
        "accepted": measurement.accepted,
        "saturation": saturation,
        "wrong": wrong + faults_of({"saturation": saturation}),
    }


def _mib(part: Part, running: RunningSuite) -> float:
    return proportional_mib(part) if part is running.servers.postgres else resident_mib(part)


def section(figures: Figures) -> str:
    """A row per process, and all of them together."""
    idle, peak, after = figures["idle_mib"], figures["peak_mib"], figures["after_mib"]
    rows = [
        (
            name,
            f"{idle[name]:,.0f}",
            f"{peak[name]:,.0f}" if name in peak else "",
            f"{after[name]:,.0f}",
            f"{figures['largest_mib'][name]:,.0f}",
        )
        for name in idle
    ]
    rows.append(("all", f"**{sum(idle.values()):,.0f}**", "", f"**{sum(after.values()):,.0f}**", ""))
    return SECTION.format(
        settling=SETTLING_S,
        requests=figures["accepted"],
        rate=figures["saturation"]["scheduled_per_s"],
        start_up=figures["start_up_s"],
        table=table(("process", "idle", "peak", "after the load", "the largest of them"), rows),
    )


MEMORY = Scenario("memory", measure, section)
