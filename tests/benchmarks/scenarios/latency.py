"""How long a delivery takes to be scheduled when the load does not fill the processors, and what the floor takes."""

import argparse
from collections.abc import Iterator

from measuring.markdown import table
from measuring.measurement import Measurement
from measuring.observer import Observer
from measuring.svg import line_chart

from peers.peer import FLOOR, Running
from scenarios.scenario import Figures, Scenario, faults_of, picture_of, suite_at_work, suite_cpu_ms, suite_waited_ms
from shared_contracts.delivery.v1 import DeliveryScheduled

NAME = "latency"
LOW_RATE_PER_S = 100.0
MORE_DRONES = 2
"""How many times as many drones the floor has: it books several times as many in the same time."""
SECTION = """## Latency

From the moment a request is due to the moment `DeliveryScheduled` arrives at a queue beside those of the services, in
milliseconds. Requests come at random at a fixed rate, whatever becomes of the earlier ones: what is due while answers
stall has waited, too. The rates are half of what the same processes scheduled at saturation just before (the suite
{saturation:,.0f} per second, the floor {floor_saturation:,.0f}), and {low:.0f} per second. A request is sent late when
the load itself, or its busy connections, hold it up.

The floor was measured in the same way after the suite, on servers of its own. Its requests go through the same hops,
tables and exchanges, with as little in between as we can write. So at the same rate what it takes is about what this
machine and the servers take, and what the suite takes beyond that is the suite's own.

CPU: milliseconds that all processes together, servers included, used for a delivery. Waited: milliseconds that their
threads together were ready to run, and had to wait because the processors were taken.

![The share of deliveries that were scheduled within a time]({picture})

{table}"""


async def measure(options: argparse.Namespace) -> Figures:
    """The suite, then the floor: saturation, then both rates."""
    with suite_at_work(options, counts_rows=True) as (suite, measurement):
        figures = await _measure(suite, measurement, options.seconds)
    drones = options.drones * MORE_DRONES
    with FLOOR.running(drones) as floor:
        beside = await _measure(floor, Measurement(floor, options.connections, drones), options.seconds)
    wrong = [*figures.pop("wrong"), *(f"{FLOOR.name}: {fault}" for fault in beside.pop("wrong"))]
    return {**figures, FLOOR.name: beside, "wrong": wrong}


async def _measure(running: Running, measurement: Measurement, seconds: float) -> Figures:
    warm_per_s = await measurement.warm_up()
    saturation = await measurement.measure(warm_per_s, seconds)
    half_per_s = saturation["scheduled_per_s"] / 2
    async with Observer.watching(running.servers.broker_url("admin"), DeliveryScheduled) as observer:
        loads = {
            "half of saturation": await measurement.at_rate(observer, half_per_s, seconds),
            "low": await measurement.at_rate(observer, LOW_RATE_PER_S, seconds),
        }
    wrong = await running.verify(measurement.accepted)
    return {"saturation": saturation, "loads": loads, "wrong": wrong + faults_of({"saturation": saturation, **loads})}


def section(figures: Figures) -> str:
    """The percentiles, for each rate a row of the suite and one of the floor."""
    return SECTION.format(
        saturation=figures["saturation"]["scheduled_per_s"],
        floor_saturation=figures[FLOOR.name]["saturation"]["scheduled_per_s"],
        low=LOW_RATE_PER_S,
        picture=picture_of(NAME),
        table=table(
            (
                *("load", "contender", "asked per second", "requests"),
                *("p50", "p95", "p99", "max", "202, p50", "p99", "sent late, p99", "CPU", "waited"),
            ),
            (
                (
                    load,
                    contender,
                    f"{one['asked_per_s']:,.0f}",
                    f"{one['requests']:,}",
                    *(f"**{one['scheduled_ms'][percent]:,.1f}**" for percent in ("p50", "p95", "p99")),
                    f"{one['scheduled_ms']['max']:,.1f}",
                    f"{one['accept_p50_ms']:,.1f}",
                    f"{one['accept_p99_ms']:,.1f}",
                    f"{one['sent_late_p99_ms']:,.1f}",
                    f"{suite_cpu_ms(one):,.1f}",
                    f"{suite_waited_ms(one):,.1f}",
                )
                for load, contender, one in _side_by_side(figures)
            ),
        ),
    )


def drawing(figures: Figures) -> str:
    """A line per rate and contender, the floor's dashed."""
    lines: dict[str, list[tuple[float, float]]] = {}
    dashed = []
    for load, contender, one in _side_by_side(figures):
        name = f"{contender}, {load}, {one['asked_per_s']:,.0f} per second"
        lines[name] = [(latency_ms, share * 100) for share, latency_ms in one["distribution_ms"]]
        if contender == FLOOR.name:
            dashed.append(name)
    return line_chart("Deliveries scheduled within a time", lines, across="milliseconds", up="percent", dashed=dashed)


def _side_by_side(figures: Figures) -> Iterator[tuple[str, str, Figures]]:
    """Load, contender and figures, load by load."""
    for load, one in figures["loads"].items():
        yield load, "suite", one
        yield load, FLOOR.name, figures[FLOOR.name]["loads"][load]


LATENCY = Scenario(NAME, measure, section, drawing)
