"""What happened in a session, and what waits in it."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from dead_letters.command_line.client import Json
from dead_letters.command_line.moments import told
from dead_letters.command_line.text import harmless
from dead_letters.command_line.views.layout import Listing, cell, section, times
from dead_letters.command_line.views.letters import letters_view

KIND_STYLES = {
    "failed": "red",
    "failed_again": "red",
    "edited": "yellow",
    "replayed": "cyan",
    "handled": "green",
    "did": "yellow",
}


def story_view(story: Json, at: datetime) -> RenderableType:
    """The story in the order of time, and how it stands now."""
    head = f"Session {story['session_id']}" if story["session_id"] else "The message names no session."
    parts: list[RenderableType] = [
        Text(harmless(head), style="bold"),
        section("What happened", _events(story["events"], at)),
        section("Dead letters of the session", letters_view(story["dead_letters"], at)),
        section("What waits in the services now", _waiting(story["waiting"], at)),
    ]
    parts += [
        cell(f"{silent['service']} did not tell what waits in it: {silent['error']}", "red")
        for silent in story["silent_services"]
    ]
    return Group(*parts)


def _events(events: Sequence[Json], at: datetime) -> RenderableType:
    rows = [
        [
            cell(told(one["at"], at)),
            cell(one["kind"].replace("_", " "), KIND_STYLES.get(one["kind"], "")),
            cell(one["subscription"]),
            cell(one["actor"]),
            cell(one["text"]),
        ]
        for one in events
    ]
    return Listing(("AT", "WHAT", "SUBSCRIPTION", "WHO", "TEXT"), rows, lead=3, nothing="Nothing.")


def _waiting(waiting: Sequence[Json], at: datetime) -> RenderableType:
    heads: dict[tuple[str, str], int] = {}
    for one in waiting:
        heads.setdefault((one["service"], one["subscription"]), one["position"])
    rows = [_place(one, heads[one["service"], one["subscription"]], at) for one in waiting]
    titles = ("SUBSCRIPTION", "POSITION", "MESSAGE", "WHY", "DUE", "MESSAGE ID", "ERROR")
    return Listing(titles, rows, lead=4, nothing="Nothing waits.")


def _place(one: Json, head: int, at: datetime) -> list[Text]:
    if one["is_parked"]:
        why, due, error = cell("parked", "red"), None, one["error"]
    elif one["position"] != head:
        # Its own moment has no meaning: it comes when those before it are dealt with.
        why, due, error = cell(f"waits behind {head}"), None, None
    else:
        why, due, error = cell(f"tried {times(one['attempts'])}"), told(one["due_at"], at), one["error"]
    return [
        cell(one["subscription"]),
        cell(one["position"]),
        cell(one["message_type"]),
        why,
        cell(due),
        cell(one["message_id"]),
        cell(error),
    ]
