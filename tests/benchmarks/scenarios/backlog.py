"""How fast the consumers catch up after they were away, and what memory they take for it."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from itertools import pairwise

from measuring.markdown import table
from measuring.measurement import moment_of, rate_between
from measuring.usage import forget_peak, largest_mib, peak_mib, resident_mib

from local_stack.part import Part
from scenarios.memory import SETTLING_S
from scenarios.scenario import Figures, Scenario, faults_of, suite_at_work

CONSUMERS = ("package_service", "drone_scheduler", "delivery")
SECTION = """## A backlog

{consumers} were stopped while ingestion accepted {requests:,} requests ({accepted:,.0f} per second, so
{outage:.0f} s stand for an outage that would be longer where fewer ask), then started together. No request was
scheduled meanwhile, each of them was afterwards, while no more came.

{table}
Drained: between the moments at which a tenth and nine tenths of the backlog were scheduled. By fifths of the backlog:
{fifths} per second. The services work on their parts of the backlog side by side, and who has finished leaves the
processors to the others. Ready after {ready:.1f} s, all done {done:.1f} s after the start of the consumers. Memory in
use, in MiB: before the stop, at most while the first and the second half was drained, {settling:.0f} s after the end.

{memory}"""


# The rate in between: neither the start nor the end, where one waits for another.
LOW, HIGH = 0.1, 0.9
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


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
        stopped = time.monotonic()
        sent = await measurement.send(options.backlog)
        early = await measurement.scheduled() - known
        for part in parts:
            if part not in consumers:
                forget_peak(part)
        begin = time.monotonic()
        for consumer in consumers:
            consumer.launch()
        half = known + sent["requests"] // 2
        samples, ready_at = await asyncio.gather(measurement.wait_for(half), asyncio.to_thread(_ready_at, consumers))
        peak = {part.name: [peak_mib(part)] for part in parts}
        for part in parts:
            forget_peak(part)
        samples += await measurement.wait_for(measurement.accepted)
        for part in parts:
            peak[part.name].append(peak_mib(part))
        await asyncio.sleep(SETTLING_S)
        after = {part.name: resident_mib(part) for part in parts}
        largest = {part.name: largest_mib(part) for part in [running.servers.postgres, *parts]}
        wrong = await running.verify(measurement.accepted)
    if early:
        wrong.append(f"{early} requests were scheduled while the consumers were stopped")
    return {
        "steady": steady,
        "sent": sent,
        "outage_s": round(begin - stopped, 1),
        "ready_s": round(ready_at - begin, 2),
        "done_s": round(samples[-1][0] - begin, 2),
        "drained_per_s": round(rate_between(samples, LOW, HIGH), 1),
        "samples": [(round(at - begin, 2), scheduled - known) for at, scheduled in samples],
        "before_mib": before,
        "peak_mib": peak,
        "after_mib": after,
        "largest_mib": largest,
        "wrong": wrong + faults_of({"steady": steady, "sent": sent}),
    }


def _ready_at(consumers: Sequence[Part]) -> float:
    """Wait until all are ready. Returns when that was."""
    for consumer in consumers:
        consumer.wait_ready()
    return time.monotonic()


def section(figures: Figures) -> str:
    """The rates, and the memory."""
    steady_per_s, drained_per_s = figures["steady"]["scheduled_per_s"], figures["drained_per_s"]
    before, after, samples = figures["before_mib"], figures["after_mib"], figures["samples"]
    moments = [moment_of(samples, share) for share in FIFTHS]
    fifths = [figures["sent"]["requests"] / 5 / (end - begin) for begin, end in pairwise(moments)]
    return SECTION.format(
        consumers=", ".join(CONSUMERS),
        requests=figures["sent"]["requests"],
        accepted=figures["sent"]["accepted_per_s"],
        outage=figures["outage_s"],
        fifths=", ".join(f"{rate:,.0f}" for rate in fifths),
        settling=SETTLING_S,
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
            ("process", "before the stop", "first half", "second half", "after"),
            (
                (name, f"{before[name]:,.0f}", *(f"{mib:,.0f}" for mib in halves), f"{after[name]:,.0f}")
                for name, halves in figures["peak_mib"].items()
            ),
        ),
    )


def growth(figures: Figures) -> tuple[float, str]:
    """What the process that grew most took at most in the second half, in what it took in the first; and its name."""
    return max((second / first, name) for name, (first, second) in figures["peak_mib"].items())


BACKLOG = Scenario("backlog", measure, section)
