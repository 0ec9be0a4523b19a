"""Who did what."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType

from dead_letters.command_line.client import Json
from dead_letters.command_line.moments import told
from dead_letters.command_line.views.layout import Listing, cell


def audit_view(entries: Sequence[Json], at: datetime) -> RenderableType:
    """Entries of the audit, in the order in which they come."""
    rows = [
        [
            cell(told(one["at"], at)),
            cell(one["actor"]),
            cell(one["action"]),
            cell(_target(one)),
            cell(_change(one)),
            cell(one["why"]),
        ]
        for one in entries
    ]
    return Listing(("AT", "WHO", "DID", "TO", "CHANGED", "WHY"), rows, lead=3, nothing="Nothing was done.")


def _target(entry: Json) -> str | None:
    if entry["dead_letter_id"]:
        return str(entry["dead_letter_id"])
    return f"bulk {entry['bulk_replay_id']}" if entry["bulk_replay_id"] else None


def _change(entry: Json) -> str | None:
    before, after = entry["before"] or {}, entry["after"] or {}
    changed = [name for name in after if name in before and before[name] != after[name]]
    return ", ".join(f"{name} {before[name]} -> {after[name]}" for name in changed) or None
