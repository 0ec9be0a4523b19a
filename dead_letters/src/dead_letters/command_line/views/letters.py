"""Dead letters in lists, and groups of them."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from dead_letters.command_line.client import Json
from dead_letters.command_line.moments import age_of, told
from dead_letters.command_line.views.layout import Listing, cell, facts, state_cell, times


def letters_view(items: Sequence[Json], at: datetime) -> RenderableType:
    """The list."""
    rows = [
        [
            cell(one["dead_letter_id"]),
            standing_cell(one, at),
            cell(told(one["last_failed_at"], at)),
            cell(one["subscription"]),
            cell(_short_type(one["message_type"])),
            cell(one["reason"]),
            cell(cause_of(one)),
        ]
        for one in items
    ]
    titles = ("ID", "STATE", "LAST FAILED", "SUBSCRIPTION", "MESSAGE", "REASON", "CAUSE")
    return Listing(titles, rows, lead=3, nothing="No dead letter is like that.")


def groups_view(page: Json, at: datetime) -> RenderableType:
    """Groups, the largest first."""
    rows = [
        [
            cell(one["fingerprint"]),
            cell(f"{one['open_count']} open of {one['count']}", "yellow" if one["open_count"] else ""),
            cell(f"last {told(one['last_failed_at'], at)}"),
            cell(f"first {told(one['first_failed_at'], at)}"),
            cell(one["service"]),
            cell(", ".join(one["subscriptions"])),
            cell(one["reason"]),
            cell(cause_of(one)),
            cell(one["example_id"]),
        ]
        for one in page["items"]
    ]
    titles = ("GROUP", "COUNT", "LAST", "FIRST", "SERVICE", "SUBSCRIPTIONS", "REASON", "CAUSE", "EXAMPLE")
    listing = Listing(titles, rows, lead=3, nothing="No dead letter is like that.")
    left_out = page["total"] - len(page["items"])
    return (
        Group(listing, Text(f"{left_out} smaller groups are not shown: --limit", style="dim")) if left_out else listing
    )


def letter_view(letter: Json, at: datetime) -> RenderableType:
    """One dead letter after something was done to it."""
    return facts(
        [
            ("dead letter", cell(letter["dead_letter_id"])),
            ("state", standing_cell(letter, at)),
            ("subscription", cell(letter["subscription"])),
            ("message", cell(letter["message_type"])),
            ("session", cell(letter["session_id"])),
            ("body version", cell(letter["version"])),
            ("replayed", cell(times(letter["attempt_epoch"]))),
            ("last failed", cell(told(letter["last_failed_at"], at))),
            ("cause", cell(cause_of(letter))),
        ]
    )


def change_view(letter: Json, at: datetime) -> RenderableType:
    """One line of what is watched."""
    parts = [
        cell(told(letter["changed_at"], at)[:20]),
        state_cell(letter["state"]),
        cell(letter["dead_letter_id"]),
        cell(letter["subscription"]),
        cell(_short_type(letter["message_type"])),
        cell(letter["reason"]),
        cell(cause_of(letter)),
    ]
    line = Text("  ").join(parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def standing_cell(letter: Json, at: datetime) -> Text:
    """The state, and for how long there is no answer to a replay."""
    state = state_cell(letter["state"])
    if letter["state"] == "replaying":
        state.append(f" for {age_of(letter['changed_at'], at)}")
    elif letter["unanswered"]:
        state.append(", a replay is not answered")
    return state


def cause_of(one: Json) -> str:
    """Exception and description in one."""
    kind, description = one["exception_type"], one["description"]
    # Some exceptions name themselves in their text.
    return description if not kind or description.startswith(kind) else f"{kind}: {description}".removesuffix(": ")


def _short_type(message_type: str | None) -> str | None:
    # What all types begin with says nothing.
    return None if message_type is None else ".".join(message_type.split(".")[-2:])
