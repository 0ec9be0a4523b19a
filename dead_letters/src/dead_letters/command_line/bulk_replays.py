"""Commands about bulk replays: list, show, pause, resume, cancel."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from dead_letters.command_line.asking import reason_of
from dead_letters.command_line.client import PAGE_SIZE_MAX, Client, Json
from dead_letters.command_line.connection import open_client
from dead_letters.command_line.exits import Failed
from dead_letters.command_line.moments import now
from dead_letters.command_line.options import After, AsJson, BulkId, Limit, Timeout, Wait, Why
from dead_letters.command_line.output import Output
from dead_letters.command_line.progress import wait_for_bulk
from dead_letters.command_line.text import one_line
from dead_letters.command_line.views.bulk import bulk_list_view, bulk_view

PAGE_SIZE = 20


class BulkStateChoice(StrEnum):
    """The states of bulk replays."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class ItemStateChoice(StrEnum):
    """The states of their dead letters, and all of them."""

    WAITING = "waiting"
    SENT = "sent"
    HANDLED = "handled"
    FAILED = "failed"
    SKIPPED = "skipped"
    ANY = "any"


UNENDED = frozenset({BulkStateChoice.RUNNING, BulkStateChoice.PAUSED, BulkStateChoice.STOPPED})

BulkState = Annotated[BulkStateChoice | None, typer.Option("--state", help="In which state.")]
Items = Annotated[ItemStateChoice | None, typer.Option("--items", help="Show its dead letters in this state.")]


def list_bulks(
    context: typer.Context,
    state: BulkState = None,
    limit: Limit = PAGE_SIZE,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """List bulk replays, newest first."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        page = client.page("/bulkreplays", {"state": state and state.value}, limit, after)
    output.result(page, lambda found: bulk_list_view(found["items"], now()))


def show_bulk(
    context: typer.Context,
    *,
    bulk_replay_id: BulkId,
    items: Items = None,
    limit: Limit = PAGE_SIZE,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Show a bulk replay, how far it is, and with --items what became of its dead letters."""
    output = Output(as_json=as_json)
    with open_client(context) as client:
        bulk = client.get(f"/bulkreplays/{bulk_replay_id}")
        finish_bulk(client, bulk, output, wait=wait, timeout_s=timeout, items=items, limit=limit)


def pause(context: typer.Context, bulk_replay_id: BulkId, why: Why = None, as_json: AsJson = False) -> None:
    """Replay nothing more for the moment."""
    output = Output(as_json=as_json)
    output.result(_steer(context, bulk_replay_id, "pause", output, why), lambda found: bulk_view(found, now()))


def resume(
    context: typer.Context,
    *,
    bulk_replay_id: BulkId,
    why: Why = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Go on. After it has stopped itself, the canaries come first again."""
    output = Output(as_json=as_json)
    bulk = _steer(context, bulk_replay_id, "resume", output, why)
    with open_client(context) as client:
        finish_bulk(client, bulk, output, wait=wait, timeout_s=timeout)


def cancel(context: typer.Context, bulk_replay_id: BulkId, why: Why = None, as_json: AsJson = False) -> None:
    """Replay nothing more for ever. What is replayed already stays so."""
    output = Output(as_json=as_json)
    output.result(_steer(context, bulk_replay_id, "cancel", output, why), lambda found: bulk_view(found, now()))


def finish_bulk(
    client: Client,
    bulk: Json,
    output: Output,
    *,
    wait: bool,
    timeout_s: float | None,
    items: ItemStateChoice | None = None,
    limit: int = PAGE_SIZE,
) -> None:
    """Show a bulk replay, if wanted when it has ended. Raises Failed when it was waited for and not all is handled."""
    bulk_replay_id = UUID(bulk["bulk_replay_id"])
    if wait:
        bulk = wait_for_bulk(client, bulk_replay_id, output, timeout_s)
    if items is not None:
        query = {"state": None if items is ItemStateChoice.ANY else items.value}
        bulk["items"] = client.page(f"/bulkreplays/{bulk_replay_id}/items", query, limit)["items"]
    output.result(bulk, lambda found: bulk_view(found, now()))
    if wait:
        _require_handled(client, bulk)


def tell_others(client: Client, group: str | None, output: Output) -> None:
    """Say which bulk replays of the same group have not ended: they replay the same dead letters, or would."""
    if group is None:
        return
    for one in client.get("/bulkreplays", {"limit": PAGE_SIZE_MAX})["items"]:
        if one["state"] in UNENDED and one["selection"].get("fingerprint") == group:
            output.note(
                f"There is another bulk replay of this group, which is {one['state']}: dlq bulk show "
                f"{one['bulk_replay_id']}; dlq bulk cancel ends it"
            )


def _require_handled(client: Client, bulk: Json) -> None:
    more = f"dlq bulk show {bulk['bulk_replay_id']} --items any"
    if bulk["state"] != BulkStateChoice.FINISHED:
        because = f" because {bulk['stop_reason']}" if bulk["stop_reason"] else ""
        raise Failed(f"the bulk replay is {bulk['state']}{because}{_last_failure(client, bulk)}: {more}")
    if bulk["failed"] or bulk["skipped"]:
        raise Failed(f"{bulk['failed']} failed, {bulk['skipped']} skipped: {more}")


def _last_failure(client: Client, bulk: Json) -> str:
    if bulk["state"] != BulkStateChoice.STOPPED:
        return ""
    query = {"state": ItemStateChoice.FAILED.value, "limit": PAGE_SIZE_MAX}
    failed = client.get(f"/bulkreplays/{bulk['bulk_replay_id']}/items", query)["items"]
    # They are in the order in which they were replayed: before the last one it may have been resumed.
    return f" ({failed[-1]['dead_letter_id']}: {one_line(failed[-1]['note'])})" if failed and failed[-1]["note"] else ""


def _steer(context: typer.Context, bulk_replay_id: UUID, wish: str, output: Output, why: str | None) -> Json:
    document = {"why": reason_of(output, why)}
    with open_client(context) as client:
        return client.post(f"/bulkreplays/{bulk_replay_id}/{wish}", document)
