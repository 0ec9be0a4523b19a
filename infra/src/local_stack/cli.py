"""The command `python -m local_stack`."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local_stack.errors import AlreadyUpError, ProcessDiedError, StackError
from local_stack.folder import StackFolder
from local_stack.guardian import SUPERVISOR, end_supervisor
from local_stack.ports import port_number
from local_stack.processes import spawn
from local_stack.records import read_record
from local_stack.stack import FIRST_PORT, SERVICES, LocalStack
from local_stack.status import READY, status_of, status_table
from local_stack.supervisor import Supervisor

_LOG_LINES = 10
_WATCH_INTERVAL_S = 0.5

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The suite as processes on this machine.")
console = Console(soft_wrap=True, markup=False)

DataFolder = Annotated[
    Path,
    typer.Option("--data", envvar="STACK_DATA", help="The folder that everything is written to."),
]
PortBase = Annotated[
    str,
    typer.Option(envvar="PORT_BASE", help="Port of the first service; the others get the next ones."),
]
Fleet = Annotated[bool, typer.Option("--fleet/--no-fleet", help="Fly what is booked with a simulated fleet.")]
Management = Annotated[
    str | None,
    typer.Option(envvar="MANAGEMENT_PORT", help="Port of RabbitMQ's management pages, which are off without one."),
]
DEFAULT_FOLDER = Path(".stack")


@app.command()
def up(
    data: DataFolder = DEFAULT_FOLDER,
    port_base: PortBase = str(FIRST_PORT),
    management_port: Management = None,
    fleet: Fleet = True,
) -> None:
    """Start everything in the background, where what dies is started again."""
    stack = _stack(data, port_base, management_port, with_fleet=fleet)
    try:
        stack.start()
    except AlreadyUpError as error:
        console.print(str(error))
    except KeyboardInterrupt:
        console.print("Stopped.")
        raise
    else:
        words = ["supervise", "--data", str(stack.folder.root), "--port-base", port_base]
        words += ["--fleet" if fleet else "--no-fleet"]
        words += [] if management_port is None else ["--management-port", management_port]
        spawn(stack.folder, SUPERVISOR, [sys.executable, "-m", "local_stack", *words], environment=os.environ)
        stack.detach()
    if not _show(stack.folder):
        raise StackError(
            "not everything is ready: what died is started again, see `make status`; "
            "if that does not help, `make down` and then `make up`"
        )


@app.command()
def run(
    data: DataFolder = DEFAULT_FOLDER,
    port_base: PortBase = str(FIRST_PORT),
    management_port: Management = None,
    fleet: Fleet = True,
) -> None:
    """Start everything and stay in the foreground; Ctrl-C, or the end of any part, stops all of it."""
    try:
        with _stack(data, port_base, management_port, with_fleet=fleet) as stack:
            _show(stack.folder)
            while not (ended := stack.ended()):
                time.sleep(_WATCH_INTERVAL_S)
            raise ProcessDiedError(f"{', '.join(ended)} ended; see the logs in {stack.folder.logs}")
    except KeyboardInterrupt:
        console.print("Stopped.")


@app.command(hidden=True)
def supervise(
    data: DataFolder,
    port_base: PortBase = str(FIRST_PORT),
    management_port: Management = None,
    fleet: Fleet = True,
) -> None:
    """Start again what dies of a stack that is up, until it is taken down. `up` starts this."""
    stack = _stack(data, port_base, management_port, with_fleet=fleet)
    stack.adopt()
    parts = [part for part in stack.parts if read_record(stack.folder, part.name) is not None]
    Supervisor(stack.folder, parts).watch()


@app.command()
def down(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Stop everything. The data stays for the next start; delete the folder to start anew."""
    stack = LocalStack(data, with_fleet=True)
    end_supervisor(stack.folder)
    stack.adopt()
    stack.stop()
    console.print(f"Nothing runs in {stack.folder.root} any more.")


@app.command()
def status(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Show what runs; the exit status is 1 when not all of it is ready."""
    if not _show(StackFolder(data)):
        raise typer.Exit(1)


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Parts; all when none is named.")] = None,
    data: DataFolder = DEFAULT_FOLDER,
    lines: Annotated[str, typer.Option("--lines", "-n", help="How many lines of each.")] = str(_LOG_LINES),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written.")] = False,
) -> None:
    """Show the ends of the logs."""
    if not lines.isdecimal():
        raise StackError(f"LINES={lines} is no number of lines")
    folder = StackFolder(data)
    logged = {path.stem: path for path in sorted(folder.logs.glob("*.log"))}
    missing = [name for name in names or () if name not in logged]
    if missing or not logged:
        raise StackError(
            f"no log of {', '.join(missing) or 'any part'} in {folder.logs}; there are: {', '.join(logged) or 'none'}"
        )
    # Of all logs, only those that say something, unless they may still come to it.
    shown = names or [name for name, path in logged.items() if follow or path.stat().st_size]
    arguments = ["tail", "-n", lines, *(["-F"] if follow else []), "--", *(str(logged[name]) for name in shown)]
    os.execv(shutil.which("tail") or "/usr/bin/tail", arguments)  # noqa: S606 - no shell wanted


def _stack(data: Path, port_base: str, management_port: str | None, *, with_fleet: bool) -> LocalStack:
    first = port_number(port_base, "PORT_BASE", room_for=len(SERVICES))
    ports = {name: first + offset for offset, name in enumerate(SERVICES)}
    management = None if management_port is None else port_number(management_port, "MANAGEMENT_PORT")
    return LocalStack(data, SERVICES, ports=ports, management_port=management, with_fleet=with_fleet)


def _show(folder: StackFolder) -> bool:
    """Print the table. Returns whether everything on record is ready."""
    parts = status_of(folder)
    if not parts:
        console.print(f"Nothing is up in {folder.root}.")
        return False
    console.print(status_table(parts))
    console.print(f"Passwords: {folder.secrets} (for you only); logs: {folder.logs}")
    return all(part.condition == READY for part in parts)


def main() -> None:
    """Entry point of `python -m local_stack`: what goes wrong is told in one line."""
    # An orderly stop for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except (StackError, OSError) as error:
        console.print(str(error), style="red", highlight=False)
        sys.exit(1)
