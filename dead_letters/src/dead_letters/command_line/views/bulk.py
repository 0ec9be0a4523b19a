"""Bulk replays and what they would touch."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from dead_letters.command_line.client import Json
from dead_letters.command_line.moments import told
from dead_letters.command_line.output import as_json_text
from dead_letters.command_line.views.layout import Listing, cell, facts, section, state_cell
from dead_letters.command_line.views.letters import letters_view


def bulk_list_view(items: Sequence[Json], at: datetime) -> RenderableType:
    """Bulk replays, newest first."""
    rows = [
        [
            cell(one["bulk_replay_id"]),
            state_cell(one["state"]),
            cell(counts_of(one)),
            cell(told(one["created_at"], at)),
            cell(one["actor"]),
            cell(one["why"]),
            cell(one["stop_reason"]),
        ]
        for one in items
    ]
    titles = ("ID", "STATE", "HOW FAR", "BEGUN", "BY", "WHY", "STOPPED BECAUSE")
    return Listing(titles, rows, lead=2, nothing="There is no bulk replay.")


def bulk_view(bulk: Json, at: datetime) -> RenderableType:
    """One bulk replay, and its items when they are there."""
    shown = facts(
        [
            ("bulk replay", cell(bulk["bulk_replay_id"])),
            ("state", state_cell(bulk["state"])),
            ("how far", cell(counts_of(bulk))),
            *([("stopped because", cell(bulk["stop_reason"]))] if bulk["stop_reason"] else []),
            ("selection", cell(as_json_text(bulk["selection"]))),
            ("canaries", cell(bulk["canary"])),
            ("rate", cell(f"{bulk['rate_per_s']:g}/s")),
            ("stops above", cell(f"{bulk['max_failure_ratio']:.0%} failed")),
            ("by", cell(bulk["actor"])),
            ("why", cell(bulk["why"])),
            ("begun", cell(told(bulk["created_at"], at))),
            ("changed", cell(told(bulk["changed_at"], at))),
            ("ended", cell(told(bulk["finished_at"], at))),
        ]
    )
    return Group(shown, section("Dead letters", _items(bulk["items"]))) if "items" in bulk else shown


def preview_view(preview: Json, at: datetime) -> RenderableType:
    """What a dry run found."""
    skipped = preview.get("undecodable", 0)
    number = preview["selected"]
    text = f"{number_of(number)} {'is' if number == 1 else 'are'} selected. Nothing was done."
    parts: list[RenderableType] = [Text(text, style="bold")]
    if skipped:
        parts.append(Text(f"No event as they are, and skipped unless they are mended: {skipped} of them."))
    parts.append(letters_view(preview["examples"], at))
    left_out = preview["selected"] - len(preview["examples"])
    if left_out > 0:
        parts.append(Text(f"... and {left_out} more", style="dim"))
    return Group(*parts)


def number_of(count: int) -> str:
    """So many dead letters, in words."""
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def discard_view(outcome: Json) -> RenderableType:
    """What a bulk discard did."""
    left_alone = f", {outcome['left_alone']} left alone because they were not open" if outcome["left_alone"] else ""
    return Text(f"{outcome['discarded']} of {outcome['selected']} discarded{left_alone}.")


def counts_of(bulk: Json) -> str:
    """How far it is, in one line."""
    parts = [f"{bulk['handled']}/{bulk['total']} handled"]
    parts += [f"{bulk[name]} {name}" for name in ("failed", "skipped", "sent", "waiting") if bulk[name]]
    return ", ".join(parts)


def _items(items: Sequence[Json]) -> RenderableType:
    rows = [[cell(one["dead_letter_id"]), state_cell(one["state"]), cell(one["note"])] for one in items]
    return Listing(("ID", "STATE", "NOTE"), rows, lead=2, nothing="None.")
