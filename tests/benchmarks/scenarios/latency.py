"""How long a delivery takes to be scheduled when the load does not fill the processors."""

import argparse

from measuring.markdown import table
from measuring.observer import Observer
from measuring.svg import line_chart

from scenarios.scenario import Figures, Scenario, picture_of, refusals, suite_at_work
from shared_contracts.delivery.v1 import DeliveryScheduled

NAME = "latency"
LOW_RATE_PER_S = 100.0
SECTION = """## Latency

From the moment a request is due to the moment `DeliveryScheduled` arrives at a queue beside those of the services, in
milliseconds. Requests come at random at a fixed rate, whatever becomes of the earlier ones: what is due while answers
stall has waited, too. The rates are half of what the same processes scheduled at saturation just before
({saturation:,.0f} per second), and {low:.0f} per second. A request is sent late when the load itself, or its
busy connections, hold it up.

![The share of deliveries that were scheduled within a time]({picture})

{table}"""


async def measure(options: argparse.Namespace) -> Figures:
    """Saturation, then both rates."""
    with suite_at_work(options) as (running, measurement):
        warm_per_s = await measurement.warm_up()
        saturation = await measurement.measure(warm_per_s, options.seconds)
        half_per_s = saturation["scheduled_per_s"] / 2
        async with Observer.watching(running.broker_url, DeliveryScheduled) as observer:
            loads = {
                "half of saturation": await measurement.at_rate(observer, half_per_s, options.seconds),
                "low": await measurement.at_rate(observer, LOW_RATE_PER_S, options.seconds),
            }
        wrong = await running.verify(measurement.accepted)
    return {"saturation": saturation, "loads": loads, "wrong": wrong + refusals({"saturation": saturation, **loads})}


def section(figures: Figures) -> str:
    """The percentiles, a row per rate."""
    return SECTION.format(
        saturation=figures["saturation"]["scheduled_per_s"],
        low=LOW_RATE_PER_S,
        picture=picture_of(NAME),
        table=table(
            ("load", "asked per second", "requests", "p50", "p95", "p99", "max", "202, p50", "p99", "sent late, p99"),
            (
                (
                    name,
                    f"{one['asked_per_s']:,.0f}",
                    f"{one['requests']:,}",
                    *(f"**{one['scheduled_ms'][percent]:,.0f}**" for percent in ("p50", "p95", "p99")),
                    f"{one['scheduled_ms']['max']:,.0f}",
                    f"{one['accept_p50_ms']:,.1f}",
                    f"{one['accept_p99_ms']:,.1f}",
                    f"{one['sent_late_p99_ms']:,.1f}",
                )
                for name, one in figures["loads"].items()
            ),
        ),
    )


def drawing(figures: Figures) -> str:
    """A line per rate."""
    lines = {
        f"{name}, {one['asked_per_s']:,.0f} per second": [
            (latency_ms, share * 100) for share, latency_ms in one["distribution_ms"]
        ]
        for name, one in figures["loads"].items()
    }
    return line_chart("Deliveries scheduled within a time", lines, across="milliseconds", up="percent")


LATENCY = Scenario(NAME, measure, section, drawing)
