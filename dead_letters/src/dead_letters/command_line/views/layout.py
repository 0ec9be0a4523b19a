"""Tables that fit: one line per row where there is room, several where there is not."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dead_letters.command_line.text import harmless, one_line

STATE_STYLES = {
    "open": "yellow",
    "replaying": "cyan",
    "resolved": "green",
    "discarded": "dim",
    "running": "cyan",
    "paused": "yellow",
    "stopped": "red",
    "finished": "green",
    "cancelled": "dim",
    "waiting": "dim",
    "sent": "cyan",
    "handled": "green",
    "failed": "red",
    "skipped": "dim",
}


def cell(value: object, style: str = "") -> Text:
    """Anything in one line; what somebody else wrote is made harmless, and cut when it is long."""
    return Text("-" if value is None else one_line(str(value)), style=style)


def state_cell(state: str) -> Text:
    """A state, in its colour."""
    return cell(state, STATE_STYLES.get(state, ""))


class Listing:
    """Rows of cells. The first `lead` ones identify a row, and have a line of their own if need be."""

    def __init__(self, titles: Sequence[str], rows: Sequence[Sequence[Text]], *, lead: int, nothing: str) -> None:
        self._titles = titles
        self._rows = rows
        self._lead = lead
        self._nothing = nothing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._rows:
            yield Text(self._nothing, style="dim")
            return
        table = self._table()
        if Measurement.get(console, options.update(max_width=10_000), table).maximum <= options.max_width:
            yield table
        else:
            yield from self._stacked()

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for title in self._titles:
            table.add_column(title, no_wrap=True)
        for row in self._rows:
            table.add_row(*row)
        return table

    def _stacked(self) -> RenderResult:
        for row in self._rows:
            yield Text("  ").join(row[: self._lead])
            rest = Text("  ").join(one for one in row[self._lead :] if one.plain not in {"", "-"})
            yield Padding(rest, (0, 0, 0, 2))


def times(number: int) -> str:
    """How often."""
    return {0: "never", 1: "once"}.get(number, f"{number} times")


def facts(pairs: Sequence[tuple[str, Text | str]]) -> Table:
    """Names and what they stand for, one below the other."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, value if isinstance(value, Text) else Text(harmless(value)))
    return grid


def section(title: str, content: RenderableType) -> Group:
    """Something under a heading."""
    return Group(Text(""), Text(title, style="bold underline"), content)


def block(text: str, limit: int, more: str) -> Text:
    """A text of several lines, whose end is left out when it is long; `more` says where all of it is."""
    shown = Text(harmless(text[:limit].replace("\r\n", "\n").rstrip("\n")), overflow="fold")
    if len(text) > limit:
        shown.append(f"\n… {len(text) - limit} characters more: {more}", style="dim")
    return shown
