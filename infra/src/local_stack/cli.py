"""The command `python -m local_stack`."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from local_stack.errors import AlreadyUpError, ProcessDiedError, StackError
from local_stack.folder import StackFolder
from local_stack.stack import FIRST_PORT, SERVICES, LocalStack
from local_stack.status import READY, status_of, status_table

_LOG_LINES = 50
_WATCH_INTERVAL_S = 0.5

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The suite as processes on this machine.")
console = Console(soft_wrap=True)

DataFolder = Annotated[
    Path,
    typer.Option("--data", envvar="STACK_DATA", help="The folder that everything is written to."),
]
PortBase = Annotated[
    int,
    typer.Option(envvar="PORT_BASE", help="Port of the first service; the others get the next ones."),
]
Fleet = Annotated[bool, typer.Option("--fleet/--no-fleet", help="Fly what is booked with a simulated fleet.")]
Management = Annotated[
    int | None,
    typer.Option(envvar="MANAGEMENT_PORT", help="Port of RabbitMQ's management pages, which are off without one."),
]
DEFAULT_FOLDER = Path(".stack")


@app.command()
def up(
    data: DataFolder = DEFAULT_FOLDER,
    port_base: PortBase = FIRST_PORT,
    management_port: Management = None,
    fleet: Fleet = True,
) -> None:
    """Start everything in the background."""
    stack = _stack(data, port_base, management_port, with_fleet=fleet)
    try:
        stack.start()
    except AlreadyUpError as error:
        console.print(str(error))
    except (StackError, OSError) as error:
        _fail(error)
    else:
        stack.detach()
    if not _show(stack.folder):
        _fail(StackError("not everything is ready: stop it with `make down`, then start it again"))


@app.command()
def run(
    data: DataFolder = DEFAULT_FOLDER,
    port_base: PortBase = FIRST_PORT,
    management_port: Management = None,
    fleet: Fleet = True,
) -> None:
    """Start everything and stay in the foreground; Ctrl-C, or the end of any part, stops all of it."""
    # An orderly stop for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _stack(data, port_base, management_port, with_fleet=fleet) as stack:
            _show(stack.folder)
            while not (ended := stack.ended()):
                time.sleep(_WATCH_INTERVAL_S)
            raise ProcessDiedError(f"{', '.join(ended)} ended; see the logs in {stack.folder.logs}")
    except KeyboardInterrupt:
        console.print("Stopped.")
    except (StackError, OSError) as error:
        _fail(error)


@app.command()
def down(data: DataFolder = DEFAULT_FOLDER) -> None:
    """Stop everything. The data stays for the next start; delete the folder to start anew."""
    stack = LocalStack(data, with_fleet=True)
    try:
        stack.adopt()
        stack.stop()
    except (StackError, OSError) as error:
        _fail(error)
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
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is written.")] = False,
) -> None:
    """Show the ends of the logs."""
    folder = StackFolder(data)
    paths = [folder.log(name) for name in names] if names else sorted(folder.logs.glob("*.log"))
    missing = [path.stem for path in paths if not path.exists()]
    if missing or not paths:
        known = ", ".join(path.stem for path in sorted(folder.logs.glob("*.log"))) or "none"
        _fail(StackError(f"no log of {', '.join(missing) or 'any part'} in {folder.logs}; there are: {known}"))
    arguments = ["tail", "-n", str(_LOG_LINES), *(["-F"] if follow else []), "--", *map(str, paths)]
    os.execv(shutil.which("tail") or "/usr/bin/tail", arguments)  # noqa: S606 - no shell wanted


def _stack(data: Path, port_base: int, management_port: int | None, *, with_fleet: bool) -> LocalStack:
    ports = {name: port_base + offset for offset, name in enumerate(SERVICES)}
    return LocalStack(data, SERVICES, ports=ports, management_port=management_port, with_fleet=with_fleet)


def _show(folder: StackFolder) -> bool:
    """Print the table. Returns whether everything on record is ready."""
    parts = status_of(folder)
    if not parts:
        console.print(f"Nothing is up in {folder.root}.")
        return False
    console.print(status_table(parts))
    console.print(f"Passwords: {folder.secrets} (for you only); logs: {folder.logs}")
    return all(part.condition == READY for part in parts)


def _fail(error: StackError | OSError) -> NoReturn:
    console.print(str(error), style="red", markup=False, highlight=False)
    raise typer.Exit(1)


def main() -> None:
    """Entry point of `python -m local_stack`."""
    app()
