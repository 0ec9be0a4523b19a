"""The command `python -m faultline`."""

import asyncio
import logging
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import structlog
import typer

from faultline import namespace
from faultline.faults import ALONE, FAULTS
from faultline.history import write_trial
from faultline.plan import MIXED, plan_trial
from faultline.site import Site
from faultline.trial import Result, run_trial

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def faultline() -> None:
    """Faults against the real suite, and a checker that judges what came of it."""


def say(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def prepare(folder: Path) -> None:
    """Begin with an empty site, and keep what the fleet logs off the terminal."""
    shutil.rmtree(folder / "site", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "driver.log"
    logging.basicConfig(filename=path, filemode="w", level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@app.command()
def run(
    seed: int = 1,
    scenario: str = MIXED,
    folder: Path = Path(".resilience"),
    is_long: Annotated[bool, typer.Option("--long/--smoke")] = True,
) -> None:
    """One trial."""
    prepare(folder)
    names = list(FAULTS) if scenario == "all" else scenario.split(",")
    asyncio.run(_run(folder, [(name, seed) for name in names], is_long=is_long))


async def _run(folder: Path, trials: list[tuple[str, int]], *, is_long: bool) -> None:
    async with Site(folder / "site") as site:
        for scenario, seed in trials:
            known = tuple(name for name, fault in FAULTS.items() if fault.obstacle(site) is None)
            plan = plan_trial(seed, scenario, known=known, alone=ALONE, is_long=is_long)
            say(f"{plan.name}: {', '.join(plan.faults)}")
            result = await run_trial(site, plan)
            write_trial(folder / plan.name, result.trial)
            tell(result)


def tell(result: Result) -> None:
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in result.phases_s.items())
    say(f"{result.plan.name}: {result.duration_s:.1f} s ({phases})")
    for verdict in result.verdicts:
        say(f"  {verdict}")
    for complaint in result.complaints:
        say(f"  COMPLAINT {complaint}")


def main() -> None:
    """Entry point."""
    namespace.enter()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
