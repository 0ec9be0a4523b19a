"""The command `python -m demo`."""

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from demo.display import announcement, show_outcome, show_progress, times_line
from demo.endpoints import StackEndpoints
from demo.progress import Progress
from demo.run import Conduct, Outcome, run_scenario
from demo.scenario import FEWEST_REQUESTS
from demo.stack import StackKind, fresh_stack, remove_stack, running_stack
from fleet_simulator.outages import Outage, Refused
from local_stack.errors import StackError
from local_stack.folder import StackFolder

WIDTH_WITHOUT_TERMINAL = 140
INTERRUPTED = 130

app = typer.Typer(add_completion=False)

Requests = Annotated[int, typer.Option(min=FEWEST_REQUESTS, max=5_000, help="How many requests are sent.")]
Seed = Annotated[int, typer.Option(help="The same seed sends the same requests.")]
Drones = Annotated[int, typer.Option(min=10, max=500, help="How many drones there are.")]
SpeedFactor = Annotated[float, typer.Option(min=1, max=200, help="How much faster than real drones these are.")]
Where = Annotated[
    StackKind, typer.Option(envvar="STACK", help="A stack of its own, or the one that the environment tells of.")
]
Folder = Annotated[Path, typer.Option(envvar="DEMO_FOLDER", help="Data and logs of its own stack.")]


@app.command()
def demo(
    *,
    requests: Requests = 200,
    seed: Seed = 1,
    drones: Drones = 60,
    speed_factor: SpeedFactor = 60.0,
    stack: Where = StackKind.LOCAL,
    folder: Folder = Path(".stack/demo"),
) -> None:
    """Send requests of all kinds to the suite, fly them, and check what has to be true at the end.

    The exit status is 0 only if all of it holds and every request ended as its kind should.
    """
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    console = Console(width=width, highlight=False)
    # An orderly end for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = Show(console, seed, requests, Conduct(drones=drones, speed_factor=speed_factor))
    try:
        outcome = show.on_running_stack() if stack is StackKind.COMPOSE else show.on_fresh_stack(folder)
    except KeyboardInterrupt:
        logs = StackFolder(folder).logs
        is_own = stack is StackKind.LOCAL and logs.exists()
        console.print(f"Stopped; the logs are in {logs}." if is_own else "Stopped.", markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    except (StackError, Outage, Refused) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    console.print(f"\n{times_line(outcome.progress.phase_times_s)}.")
    if not outcome.is_good:
        raise typer.Exit(1)


@dataclass
class Show:
    """One run, in front of somebody."""

    console: Console
    seed: int
    requests: int
    conduct: Conduct
    progress: Progress = field(default_factory=Progress)

    def on_fresh_stack(self, folder: Path) -> Outcome:
        """Run on a stack of its own. What it leaves in the folder is kept only when something went wrong."""
        self.console.print("Starting PostgreSQL, RabbitMQ and four services ...")
        logs = StackFolder(folder).logs
        times_s = self.progress.phase_times_s
        began_at = time.monotonic()
        try:
            with fresh_stack(folder) as endpoints:
                times_s["starting"] = time.monotonic() - began_at
                _log_to(logs / "demo.log")
                outcome = self._run(endpoints)
                began_at = time.monotonic()
        except Exception:
            if logs.exists():
                self.console.print(f"The logs are in {logs}.")
            raise
        times_s["stopping"] = time.monotonic() - began_at
        if outcome.is_good:
            remove_stack(folder)
        else:
            self.console.print(f"\nThe logs are in {logs}.")
        return outcome

    def on_running_stack(self) -> Outcome:
        """Run on the stack that the environment tells of."""
        _log_to(None)
        return self._run(running_stack())

    def _run(self, endpoints: StackEndpoints) -> Outcome:
        self.console.print(announcement(self.requests, self.conduct))
        outcome = asyncio.run(self._run_showing(endpoints))
        self.console.print()
        show_outcome(self.console, outcome)
        return outcome

    async def _run_showing(self, endpoints: StackEndpoints) -> Outcome:
        view = asyncio.create_task(show_progress(self.console, self.progress))
        try:
            return await run_scenario(endpoints, self.seed, self.requests, conduct=self.conduct, progress=self.progress)
        finally:
            view.cancel()
            with suppress(asyncio.CancelledError):
                await view


def _log_to(path: Path | None) -> None:
    """Keep log lines off the terminal, where the tables are."""
    handler = logging.NullHandler() if path is None else logging.FileHandler(path)
    logging.basicConfig(handlers=[handler], level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    # One line per request says nothing that the services' figures do not.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def main() -> None:
    """Entry point of `python -m demo`."""
    app()
