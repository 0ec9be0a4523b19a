"""The command `python -m fleet_simulator`."""

import asyncio
import logging
import signal
from contextlib import suppress
from typing import Annotated

import typer

from fleet_simulator.assembly import FleetEndpoints, simulator_at
from fleet_simulator.designs import FleetPlan
from fleet_simulator.flight import Rules
from fleet_simulator.geography import DEFAULT_AREA, Area
from fleet_simulator.outages import Outage, Refused
from fleet_simulator.simulator import Pace, utc_now
from shared_runtime import logs

app = typer.Typer(add_completion=False)

SchedulerUrl = Annotated[str, typer.Option(envvar="DRONE_SCHEDULER_URL", help="The drone scheduler's HTTP interface.")]
DeliveryUrl = Annotated[str, typer.Option(envvar="DELIVERY_URL", help="The delivery service's HTTP interface.")]
BrokerUrl = Annotated[
    str | None,
    typer.Option(
        envvar="FLEET_BROKER_URL",
        show_envvar=True,
        help="Send telemetry as messages to this broker (user fleet), not over HTTP to the delivery service.",
    ),
]
Drones = Annotated[int, typer.Option(min=0, max=500, help="How many drones to bring along; 0 flies those that exist.")]
HeavyLifters = Annotated[int | None, typer.Option(min=0, help="How many of them carry up to 16 kg; one in ten.")]
SpeedFactor = Annotated[
    float,
    typer.Option(
        min=0.1, max=1_000, help="How much faster than real drones these are; ETAs stay those of drones at real speed."
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed brings the same drones.")]
AreaText = Annotated[str, typer.Option("--area", help="Where they start: latitude,longitude,radius in metres.")]
OutageLimit = Annotated[float, typer.Option(min=1, help="Give up when something does not answer for so many seconds.")]


@app.command()
def fly(
    *,
    scheduler_url: SchedulerUrl = "http://127.0.0.1:8083",
    delivery_url: DeliveryUrl = "http://127.0.0.1:8084",
    broker_url: BrokerUrl = None,
    drones: Drones = 40,
    heavy_lifters: HeavyLifters = None,
    speed_factor: SpeedFactor = 20.0,
    seed: Seed = 1,
    area: AreaText = str(DEFAULT_AREA),
    outage_limit_s: OutageLimit = 300.0,
) -> None:
    """Fly the deliveries of the suite until Ctrl-C.

    Registers drones, flies what is booked, sends telemetry, charges, and confirms handovers as the recipients would.
    Start it again, and it goes on from where the services know its drones to be.
    """
    try:
        plan = FleetPlan(drones, Area.parse(area), seed, heavy_lifters)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--area") from None
    logs.configure("fleet-simulator", level="INFO", log_format="console")
    # One line per request would hide what the drones do.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    rules = Rules(speed_factor=speed_factor)
    pace = Pace(outage_limit_s=outage_limit_s)
    endpoints = FleetEndpoints(scheduler_url, delivery_url, broker_url)
    # An orderly end for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(_fly(endpoints, plan, rules, pace))
        except (Outage, Refused) as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


async def _fly(endpoints: FleetEndpoints, plan: FleetPlan, rules: Rules, pace: Pace) -> None:
    async with simulator_at(endpoints, rules=rules, pace=pace) as simulator:
        await simulator.register(plan.generate(utc_now()))
        await simulator.adopt()
        typer.echo(f"Flying {len(simulator.fleet)} drones at {rules.speed_factor:g} times their speed. Ctrl-C ends it.")
        await simulator.run()


def main() -> None:
    """Entry point of `python -m fleet_simulator`."""
    app()
