"""Commands for what has no end, or is long: watch and export."""

from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from dead_letters.command_line.connection import open_client
from dead_letters.command_line.events import follow
from dead_letters.command_line.files import write_whole
from dead_letters.command_line.filters import Conditions, StateChoice, StateOption
from dead_letters.command_line.moments import now
from dead_letters.command_line.options import AsJson
from dead_letters.command_line.output import Output
from dead_letters.command_line.views.letters import change_view

EXPORT_SILENCE_S = 120.0


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"


FormatOption = Annotated[Format | None, typer.Option("--format", "-f", help="jsonl unless the file ends in .csv.")]
File = Annotated[Path | None, typer.Option("--output", "-o", help="A file to write to, instead of standard output.")]
Count = Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many changes.")]


def watch(
    context: typer.Context,
    *,
    conditions: Conditions,
    state: StateOption = StateChoice.ANY,
    count: Count = None,
    as_json: AsJson = False,
) -> None:
    """Show every change of a dead letter as it happens, until Ctrl-C."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        query = {"state": state.value, **conditions.given()}
        with closing(follow(client, "/deadletters/live", query, output.note)) as changes:
            for letter in islice(changes, count):
                output.part(letter, lambda found: change_view(found, now()))


def export(
    context: typer.Context,
    *,
    conditions: Conditions,
    state: StateOption = StateChoice.OPEN,
    form: FormatOption = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write all dead letters that the filters choose, without their bodies, as CSV or JSON lines."""
    output = Output(as_json=as_json)
    chosen = _format(form, file, as_json=as_json)
    query = {"state": state.value, **conditions.given(), "format": chosen.value}
    with (
        open_client(context) as client,
        client.stream("/deadletters/export", query, silence_s=EXPORT_SILENCE_S) as chunks,
    ):
        if file is None:
            for lines in whole_lines(chunks):
                output.content(lines)
            return
        with write_whole(file) as written:
            for chunk in chunks:
                written.write(chunk)
            size = written.tell()
    output.note(f"{size} bytes are in {file}")


def whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, divided at ends of lines only, so that no character is torn apart."""
    rest = b""
    for chunk in chunks:
        lines, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            yield lines + end
    if rest:
        yield rest


def _format(form: Format | None, file: Path | None, *, as_json: bool) -> Format:
    if as_json and form is Format.CSV:
        raise typer.BadParameter("--json and --format csv exclude each other")
    if form is not None or as_json:
        return form or Format.JSONL
    return Format.CSV if file is not None and file.suffix.lower() == ".csv" else Format.JSONL
