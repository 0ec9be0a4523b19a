"""Commands that look: list, groups, show, story, body, audit."""

import base64
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from dead_letters.command_line.client import Body, Json
from dead_letters.command_line.connection import open_client
from dead_letters.command_line.files import write_whole
from dead_letters.command_line.filters import Conditions, StateChoice, StateOption, read_term
from dead_letters.command_line.moments import now, read_moment
from dead_letters.command_line.options import After, AsJson, DeadLetterId, Limit
from dead_letters.command_line.output import Output
from dead_letters.command_line.views.audit import audit_view
from dead_letters.command_line.views.detail import detail_view
from dead_letters.command_line.views.letters import groups_view, letters_view
from dead_letters.command_line.views.story import story_view

PAGE_SIZE = 50
GROUPS_MAX = 500


def read_version(text: str) -> str:
    """The name or number of a version. Raises BadParameter."""
    if text not in {"original", "current"} and not (text.isascii() and text.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no version: say original, current, or a number")
    return text


Version = Annotated[
    str, typer.Option(parser=read_version, metavar="VERSION", help="original, current, or the number of a version.")
]
File = Annotated[Path | None, typer.Option("--output", "-o", help="A file to write to, instead of standard output.")]
GroupLimit = Annotated[int, typer.Option("--limit", "-n", min=1, max=GROUPS_MAX, help="How many at most.")]
Actor = Annotated[str | None, typer.Option("--actor", parser=read_term, metavar="TEXT", help="Who did it.")]
Action = Annotated[
    str | None,
    typer.Option(
        "--action",
        parser=read_term,
        metavar="TEXT",
        help="What was done: replay, discard, restore, edit, bulk-start, bulk-stop, ...",
    ),
]
OfLetter = Annotated[UUID | None, typer.Option("--id", help="To this dead letter.")]
OfBulk = Annotated[UUID | None, typer.Option("--bulk", help="In this bulk replay.")]
DoneSince = Annotated[
    datetime | None, typer.Option("--since", parser=read_moment, metavar="MOMENT", help="At this moment or later.")
]
DoneUntil = Annotated[
    datetime | None, typer.Option("--until", parser=read_moment, metavar="MOMENT", help="Before this moment.")
]


def list_letters(
    context: typer.Context,
    *,
    conditions: Conditions,
    state: StateOption = StateChoice.OPEN,
    limit: Limit = PAGE_SIZE,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest failure first; the open ones unless --state says otherwise."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        page = client.page("/deadletters", {"state": state.value, **conditions.given()}, limit, after)
    output.result(page, lambda found: letters_view(found["items"], now()))
    _tell_more(output, page)


def list_groups(
    context: typer.Context,
    *,
    conditions: Conditions,
    state: StateOption = StateChoice.OPEN,
    limit: GroupLimit = PAGE_SIZE,
    as_json: AsJson = False,
) -> None:
    """Group dead letters of the same cause, the largest group first."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        page = client.get("/deadletters/groups", {"state": state.value, **conditions.given(), "limit": limit})
    output.result(page, lambda found: groups_view(found, now()))


def show(context: typer.Context, dead_letter_id: DeadLetterId, as_json: AsJson = False) -> None:
    """Show everything that is known of one dead letter."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        letter = client.get(f"/deadletters/{dead_letter_id}")
    output.result(letter, lambda found: detail_view(found, now()))


def story(context: typer.Context, dead_letter_id: DeadLetterId, as_json: AsJson = False) -> None:
    """Tell what happened in its session, on all subscriptions, and what waits in the services now."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        told = client.get(f"/deadletters/{dead_letter_id}/story")
    output.result(told, lambda found: story_view(found, now()))


def body(
    context: typer.Context,
    dead_letter_id: DeadLetterId,
    version: Version = "current",
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write a version of the body, byte for byte."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        found = client.body(dead_letter_id, version)
    if file is not None:
        with write_whole(file) as written:
            written.write(found.content)
        output.note(f"{len(found.content)} bytes of version {found.version} are in {file}")
    if as_json:
        output.part(_described(dead_letter_id, found), str)
    elif file is None:
        output.content(found.content)


def audit(
    context: typer.Context,
    *,
    actor: Actor = None,
    action: Action = None,
    dead_letter_id: OfLetter = None,
    bulk_replay_id: OfBulk = None,
    since: DoneSince = None,
    until: DoneUntil = None,
    limit: Limit = PAGE_SIZE,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what to which dead letter, when and why, newest first."""
    output = Output(as_json=as_json)
    query = {
        "actor": actor,
        "action": action,
        "dead_letter_id": dead_letter_id and str(dead_letter_id),
        "bulk_replay_id": bulk_replay_id and str(bulk_replay_id),
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
    }
    with open_client(context) as client:
        page = client.page("/audit", query, limit, after)
    output.result(page, lambda found: audit_view(found["items"], now()))
    _tell_more(output, page)


def _tell_more(output: Output, page: Json) -> None:
    if page["next_after"] and not output.as_json:
        output.note(f"There are more: --after {page['next_after']}, or a larger --limit.")


def _described(dead_letter_id: UUID, found: Body) -> Json:
    try:
        text = found.content.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "dead_letter_id": str(dead_letter_id),
        "version": found.version,
        "content_type": found.content_type,
        "body": text,
        "body_base64": base64.b64encode(found.content).decode(),
    }
