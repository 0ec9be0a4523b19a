"""What tracing costs at its default sampling."""

import argparse
import time

from measuring.markdown import spread, table

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
from shared_runtime.settings import ServiceSettings

EXPORT_LIMIT_S = 20.0
"""Spans wait up to five seconds for their export, and a service that is busy with its last work a little longer."""
PER_SECOND: float = ServiceSettings.model_fields["traces_per_second"].default
SECTION = """## Tracing

Saturation with traces exported at the default sampling ({per_second:g} requests per second, all their steps) to a
collector that only takes them, and without an export, by turns, each time on new servers. Median of {rounds} rounds;
the ratio is the median of each round's own. CPU is that of the whole suite with both servers, without the load and the
collector. Afterwards the collector has the whole trace, from the POST to ingestion's last step, of as many requests as
were to be traced: {traced:,} of {requests:,}, in {spans:,} spans.

{table}"""


async def measure(options: argparse.Namespace) -> Figures:
    """As many rounds of both as the contenders have, the order reversed from round to round."""
    orders = by_turns((False, True), options.rounds)
    rounds = [{_name(is_traced=one): await _measure(options, is_traced=one) for one in order} for order in orders]
    named = {f"{name}, round {number}": one for number, both in enumerate(rounds) for name, one in both.items()}
    wrong = [f"{name}: {fault}" for name, one in named.items() for fault in one["wrong"]]
    return {"rounds": rounds, "wrong": wrong + faults_of(named)}


async def _measure(options: argparse.Namespace, *, is_traced: bool) -> Figures:
    with suite_at_work(options, is_traced=is_traced) as (running, measurement):
        began_at_s = time.monotonic()
        warm_per_s = await measurement.warm_up()
        figures = await measurement.measure(warm_per_s, options.seconds)
        took_s = time.monotonic() - began_at_s
        wrong = await running.verify(measurement.accepted)
        if running.collector is None:
            return {**figures, "wrong": wrong}
        traces = await running.collector.whole_traces(EXPORT_LIMIT_S)
    loaded_s = figures["requests"] / figures["accepted_per_s"]
    wrong += faults(traces, at_least=PER_SECOND * loaded_s - 1, at_most=PER_SECOND * (took_s + 1))
    return {**figures, "traces": traces, "accepted": measurement.accepted, "wrong": wrong}


def faults(traces: dict[str, int], *, at_least: float, at_most: float) -> list[str]:
    """What is wrong with these traces, of which so many have to begin with a request."""
    begun, whole = traces["requests_begun"], traces["requests_whole"]
    wrong = [] if begun == whole else [f"{begun} traces begin with a request, but only {whole} have its last step"]
    if not at_least <= begun <= at_most:
        wrong.append(f"{begun} requests were traced, and not {at_least:.0f} to {at_most:.0f}")
    return wrong


def section(figures: Figures) -> str:
    """A row with the export, one without, and one that compares them."""
    rounds = figures["rounds"]
    traced = [both[_name(is_traced=True)] for both in rounds]
    plain = [both[_name(is_traced=False)] for both in rounds]
    rows = [
        (name, spread(map(scheduled_per_s, ones), ",.0f"), spread(map(suite_cpu_ms, ones), ".2f"))
        for name, ones in ((_name(is_traced=False), plain), (_name(is_traced=True), traced))
    ]
    rows.append(
        (
            "exported / not exported",
            f"{median_of_ratios(traced, plain, scheduled_per_s):.2f}",
            f"{median_of_ratios(traced, plain, suite_cpu_ms):.2f}",
        )
    )
    return SECTION.format(
        per_second=PER_SECOND,
        rounds=len(rounds),
        traced=sum(one["traces"]["requests_whole"] for one in traced),
        requests=sum(one["accepted"] for one in traced),
        spans=sum(one["traces"]["spans"] for one in traced),
        table=table(("traces", "scheduled per second", "CPU ms per delivery"), rows),
    )


def _name(*, is_traced: bool) -> str:
    return "exported" if is_traced else "not exported"


TRACING = Scenario("tracing", measure, section)
