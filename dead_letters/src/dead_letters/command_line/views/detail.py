"""Everything about one dead letter."""

import json
from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from dead_letters.command_line.client import Json
from dead_letters.command_line.moments import told
from dead_letters.command_line.text import harmless, one_line
from dead_letters.command_line.views.audit import audit_view
from dead_letters.command_line.views.layout import Listing, block, cell, facts, section, state_cell, times
from dead_letters.command_line.views.letters import cause_of, standing_cell

BODY_CHARACTERS_MAX = 4_000
STACK_CHARACTERS_MAX = 12_000
ADDED = "deadletter_"


def detail_view(letter: Json, at: datetime) -> RenderableType:
    """One dead letter: what it is, why it failed, what it says, and what was done."""
    dead_letter_id = letter["dead_letter_id"]
    last = letter["failure_list"][-1] if letter["failure_list"] else None
    parts: list[RenderableType] = [facts(_facts(letter, at))]
    if last is not None and last["stack"]:
        stack = block(last["stack"], STACK_CHARACTERS_MAX, f"dlq show {dead_letter_id} --json")
        parts.append(section("Stack of the last failure", stack))
    parts.append(section(f"Body, version {letter['version']}", _body(letter)))
    parts.append(section("Headers", facts(_headers(letter["headers"]))))
    parts.append(section("Failures", _failures(letter["failure_list"], at)))
    if len(letter["version_list"]) > 1:
        parts.append(section("Versions of the body", _versions(letter["version_list"], at)))
    if letter["replay_list"]:
        parts.append(section("Replays", _replays(letter["replay_list"], at)))
    if letter["audit_list"]:
        parts.append(section("What was done", audit_view(letter["audit_list"], at)))
    return Group(*parts)


def _facts(letter: Json, at: datetime) -> list[tuple[str, Text | str]]:
    parked = "yes: later messages of its session wait behind it" if letter["is_parked"] else "no"
    return [
        ("dead letter", letter["dead_letter_id"]),
        ("state", standing_cell(letter, at)),
        ("service", letter["service"]),
        ("subscription", letter["subscription"]),
        ("message", f"{letter['message_type'] or '-'}  {letter['message_id'] or ''}"),
        ("form", letter["form"]),
        ("session", letter["session_id"] or "-"),
        ("correlation", letter["correlation_id"] or "-"),
        ("causation", letter["causation_id"] or "-"),
        ("event time", told(letter["event_time"], at)),
        ("expires", told(letter["expires_at"], at)),
        ("reason", letter["reason"]),
        ("exception", letter["exception_type"] or "-"),
        ("description", block(letter["description"], BODY_CHARACTERS_MAX, "--json")),
        ("group", letter["fingerprint"]),
        ("attempts", f"{letter['attempts']}, dead-lettered {times(letter['failures'])}"),
        ("replayed", times(letter["attempt_epoch"])),
        ("parked", parked),
        ("first failed", told(letter["first_failed_at"], at)),
        ("last failed", told(letter["last_failed_at"], at)),
        ("changed", told(letter["changed_at"], at)),
        ("content type", f"{letter['content_type']}, {letter['body_bytes']} bytes"),
    ]


def _headers(headers: Json) -> list[tuple[str, Text | str]]:
    # What the service that failed has added is told above, in full.
    own = {name: value for name, value in headers.items() if not name.startswith(ADDED)}
    return [
        (one_line(name), cell(value if isinstance(value, str) else json.dumps(value))) for name, value in own.items()
    ]


def _body(letter: Json) -> Text:
    more = f"dlq body {letter['dead_letter_id']}"
    if letter["body"] is None:
        return Text(harmless(f"{letter['body_bytes']} bytes, which are no text or too many: {more}"), style="dim")
    return block(_indented(letter["body"]), BODY_CHARACTERS_MAX, more)


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text


def _failures(failures: Sequence[Json], at: datetime) -> RenderableType:
    rows = [
        [
            cell(told(one["last_failed_at"], at)),
            cell(f"replay {one['attempt_epoch']}" if one["attempt_epoch"] else "original"),
            cell(f"tried {times(one['attempts'])}"),
            cell(one["reason"]),
            cell(cause_of(one)),
        ]
        for one in failures
    ]
    titles = ("FAILED", "OF", "ATTEMPTS", "REASON", "CAUSE")
    return Listing(titles, rows, lead=3, nothing="None.")


def _versions(versions: Sequence[Json], at: datetime) -> RenderableType:
    rows = [
        [
            cell(one["version"]),
            cell(told(one["created_at"], at)),
            cell(one["actor"] or "(as it came)"),
            cell(f"{one['body_bytes']} bytes"),
            cell(one["why"]),
        ]
        for one in versions
    ]
    return Listing(("VERSION", "MADE", "BY", "SIZE", "WHY"), rows, lead=4, nothing="None.")


def _replays(replays: Sequence[Json], at: datetime) -> RenderableType:
    rows = [
        [
            cell(told(one["sent_at"], at)),
            state_cell(one["state"]),
            cell(f"replay {one['attempt_epoch']}, version {one['version']}"),
            cell(one["actor"]),
            cell(one["queue"]),
            cell(one["why"]),
        ]
        for one in replays
    ]
    return Listing(("SENT", "STATE", "WHAT", "BY", "TO", "WHY"), rows, lead=3, nothing="None.")
