"""How fast the consumers catch up after they were away, and what memory they take for it."""

import argparse
import asyncio
import time
from collections.abc import Sequence

from measuring.markdown import table
from measuring.measurement import rate_between
from measuring.usage import forget_peak, peak_mib, resident_mib

from local_stack.part import Part
from scenarios.scenario import Figures, Scenario, refusals, suite_at_work

CONSUMERS = ("package_service", "drone_scheduler", "delivery")
SECTION = """## A backlog

{consumers} were stopped while ingestion accepted {requests:,} requests ({accepted:,.0f} per second), then
started together. No request was scheduled meanwhile, each of them was afterwards, while no more came.

{table}
Drained: between the moments at which a tenth and nine tenths of the backlog were scheduled. Ready after {ready:.1f} s,
all done {done:.1f} s after the start of the consumers. The most memory in use from that start on, in MiB:

{memory}"""


# The rate in between: neither the start nor the end, where one waits for another.
LOW, HIGH = 0.1, 0.9


async def measure(options: argparse.Namespace) -> Figures:
    """The steady rate, then the backlog."""
    with suite_at_work(options, drones=options.drones + options.backlog) as (running, measurement):
        warm_per_s = await measurement.warm_up()
        steady = await measurement.measure(warm_per_s, options.seconds)
        consumers = [service for service in running.services if service.name in CONSUMERS]
        parts: list[Part] = [running.servers.rabbitmq, *running.services]
        before = {part.name: resident_mib(part) for part in parts}
        known = measurement.accepted
        await asyncio.to_thread(running.servers.together, *(consumer.stop for consumer in consumers))
        sent = await measurement.send(options.backlog)
        early = await measurement.scheduled() - known
        for part in parts:
            if part not in consumers:
                forget_peak(part)
        begin = time.monotonic()
        for consumer in consumers:
            consumer.launch()
        samples, ready_at = await asyncio.gather(
            measurement.wait_for(measurement.accepted), asyncio.to_thread(_ready_at, consumers)
        )
        peak = {part.name: peak_mib(part) for part in parts}
        wrong = await running.verify(measurement.accepted)
    if early:
        wrong.append(f"{early} requests were scheduled while the consumers were stopped")
    return {
        "steady": steady,
        "sent": sent,
        "ready_s": round(ready_at - begin, 2),
        "done_s": round(samples[-1][0] - begin, 2),
        "drained_per_s": round(rate_between(samples, LOW, HIGH), 1),
        "samples": [(round(at - begin, 2), scheduled - known) for at, scheduled in samples],
        "before_mib": before,
        "peak_mib": peak,
        "wrong": wrong + refusals({"steady": steady, "sent": sent}),
    }


def _ready_at(consumers: Sequence[Part]) -> float:
    """Wait until all are ready. Returns when that was."""
    for consumer in consumers:
        consumer.wait_ready()
    return time.monotonic()


def section(figures: Figures) -> str:
    """The rates, and the memory."""
    steady_per_s, drained_per_s = figures["steady"]["scheduled_per_s"], figures["drained_per_s"]
    before, peak = figures["before_mib"], figures["peak_mib"]
    return SECTION.format(
        consumers=", ".join(CONSUMERS),
        requests=figures["sent"]["requests"],
        accepted=figures["sent"]["accepted_per_s"],
        ready=figures["ready_s"],
        done=figures["done_s"],
        table=table(
            ("", "scheduled per second"),
            [
                ("steady, at saturation", f"{steady_per_s:,.0f}"),
                ("drained", f"**{drained_per_s:,.0f}**"),
                ("drained / steady", f"{drained_per_s / steady_per_s:.2f}"),
            ],
        ),
        memory=table(
            ("process", "before the stop", "at most while it was drained"),
            ((name, f"{before[name]:,.0f}", f"{mib:,.0f}") for name, mib in peak.items()),
        ),
    )


BACKLOG = Scenario("backlog", measure, section)
