"""The command `dlq`, put together."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated

import httpx
import typer

from dead_letters.command_line import browsing, bulk_replays, editing, repairing, streaming
from dead_letters.command_line.connection import URL_DEFAULT, Connection
from dead_letters.command_line.exits import EXPLANATION, CommandError, ExitCode
from dead_letters.command_line.filters import with_conditions
from dead_letters.command_line.output import console_for
from dead_letters.command_line.text import harmless

NAME = "dlq"

app = typer.Typer(
    name=NAME,
    help="See, understand, mend, replay or discard what no service could process.",
    epilog=EXPLANATION,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bulk = typer.Typer(
    help="Bulk replays: how far they are, and steering them.", no_args_is_help=True, rich_markup_mode=None
)

COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Look": {
        "list": with_conditions(browsing.list_letters),
        "groups": with_conditions(browsing.list_groups),
        "show": browsing.show,
        "story": browsing.story,
        "body": browsing.body,
        "audit": browsing.audit,
        "watch": with_conditions(streaming.watch),
        "export": with_conditions(streaming.export),
    },
    "Act": {
        "edit": editing.edit,
        "replay": with_conditions(repairing.replay),
        "discard": with_conditions(repairing.discard),
        "restore": repairing.restore,
        "reopen": repairing.reopen,
    },
}
BULK_COMMANDS: dict[str, Callable[..., None]] = {
    "list": bulk_replays.list_bulks,
    "show": bulk_replays.show_bulk,
    "pause": bulk_replays.pause,
    "resume": bulk_replays.resume,
    "cancel": bulk_replays.cancel,
}
for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel, epilog=EXPLANATION)(command)
for name, command in BULK_COMMANDS.items():
    bulk.command(name, epilog=EXPLANATION)(command)
app.add_typer(bulk, name="bulk", rich_help_panel="Act")


@app.callback()
def settings(
    context: typer.Context,
    url: Annotated[str, typer.Option(envvar="DLQ_URL", help="Where the dead letters are.")] = URL_DEFAULT,
    subject: Annotated[
        str | None, typer.Option(envvar="DLQ_SUBJECT", help="Who you are, for the audit; your login name if not given.")
    ] = None,
) -> None:
    """See, understand, mend, replay or discard what no service could process."""
    context.obj = Connection(url, subject, context.obj)


def run(arguments: Sequence[str], transport: httpx.BaseTransport | None = None) -> int:
    """Do what the arguments say, and return the exit status. A transport takes the place of the network."""
    # What a terminal cannot write is shown as an escape instead of breaking the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(list(arguments), prog_name=NAME, obj=transport)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.FAILED
    except CommandError as error:
        if error.code is not ExitCode.OUTPUT_CLOSED:
            _complain(str(error))
        return error.code
    except OSError as error:
        # A disk that is full, mostly.
        _complain(str(error))
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def main() -> None:
    """The console script."""
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            # What is left unwritten would be tried again at the end, and be complained about.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if code == ExitCode.OK:
                code = ExitCode.OUTPUT_CLOSED if isinstance(error, BrokenPipeError) else ExitCode.FAILED
                _complain(f"the output cannot be written: {error.strerror}")
    sys.exit(code)


def _complain(text: str) -> None:
    # Where nobody can be told, the exit status has to do.
    with suppress(OSError):
        console_for(sys.stderr).print(f"{NAME}: {harmless(text)}", soft_wrap=True)
