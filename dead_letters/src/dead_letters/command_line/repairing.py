"""Commands that replay, discard, restore and reopen."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any
from uuid import UUID

import typer

from dead_letters.command_line.asking import reason_of, require_consent
from dead_letters.command_line.bulk_replays import finish_bulk, tell_others
from dead_letters.command_line.client import Client, Json
from dead_letters.command_line.connection import open_client
from dead_letters.command_line.exits import CommandError, Failed, NotFound, Unreachable
from dead_letters.command_line.filters import Conditions, Selection
from dead_letters.command_line.moments import now
from dead_letters.command_line.options import AnyIds, AsJson, DeadLetterIds, DryRun, Everything, Timeout, Wait, Why, Yes
from dead_letters.command_line.output import Output
from dead_letters.command_line.progress import wait_for_letter
from dead_letters.command_line.views.bulk import discard_view, number_of, preview_view
from dead_letters.command_line.views.letters import letter_view, letters_view

EXAMPLES_MAX = 10
RESOLVED = "resolved"
OPEN = "open"


def read_ratio(value: str | float) -> float:
    """A share such as `0.1` or `10%`. Raises BadParameter."""
    # The default comes as it is.
    text = str(value)
    try:
        ratio = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        ratio = math.nan
    if not 0 <= ratio <= 1:
        raise typer.BadParameter(f"{text!r} is no share: give one from 0 to 1, or from 0% to 100%")
    return ratio


Canary = Annotated[
    int, typer.Option(min=0, max=1_000, help="So many are replayed first; unless all are handled, it stops.")
]
Rate = Annotated[float, typer.Option(min=0.01, max=500, help="Replays per second after the canaries.")]
MaxFailures = Annotated[
    float,
    typer.Option(parser=read_ratio, metavar="SHARE", help="Stop when more than this share has failed, as 0.1 or 10%."),
]


def replay(
    context: typer.Context,
    *,
    conditions: Conditions,
    ids: AnyIds = None,
    everything: Everything = False,
    why: Why = None,
    canary: Canary = 1,
    rate: Rate = 20.0,
    max_failures: MaxFailures = 0.1,
    dry_run: DryRun = False,
    yes: Yes = False,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the subscription that they came from: one, several, or what the filters choose.

    Several are a bulk replay: a frozen set, canaries first, throttled, which stops itself when too much fails.
    """
    output = Output(as_json=as_json)
    selection = Selection.of(ids, conditions, everything=everything)
    order: Json = {"canary": canary, "rate_per_s": rate, "max_failure_ratio": max_failures}
    with open_client(context) as client:
        if dry_run:
            _preview(client, "/bulkreplays", selection, output, reason_of(output, why, is_dry_run=True))
        elif selection.only_id is not None:
            _replay_one(client, selection.only_id, output, reason_of(output, why), wait=wait, timeout_s=timeout)
        else:
            tell_others(client, selection.conditions.get("fingerprint"), output)
            _require_consent_for(
                client, "/bulkreplays", selection, output, f"Replay {{}}, {_manner(order)}", is_given=yes
            )
            document = {**selection.document(), **order, "why": reason_of(output, why)}
            _replay_many(client, selection, document, output, wait=wait, timeout_s=timeout)


def discard(
    context: typer.Context,
    *,
    conditions: Conditions,
    ids: AnyIds = None,
    everything: Everything = False,
    why: Why = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give dead letters up: one, several, or what the filters choose. What waits behind them goes on without them."""
    output = Output(as_json=as_json)
    selection = Selection.of(ids, conditions, everything=everything)
    with open_client(context) as client:
        if dry_run:
            _preview(client, "/discards", selection, output, reason_of(output, why, is_dry_run=True))
        elif selection.only_id is not None:
            letter = client.post(f"/deadletters/{selection.only_id}/discard", {"why": reason_of(output, why)})
            output.result(letter, lambda found: letter_view(found, now()))
        else:
            _require_consent_for(client, "/discards", selection, output, "Discard {}", is_given=yes)
            outcome = client.post("/discards", {**selection.document(), "why": reason_of(output, why)})
            output.result(outcome, discard_view)
            _require_known(client, selection, outcome["selected"])
            if outcome["left_alone"]:
                raise Failed(f"{outcome['left_alone']} were not open")


def restore(
    context: typer.Context,
    *,
    ids: DeadLetterIds,
    why: Why = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take discards back: the dead letters are open again. Their sessions have gone on meanwhile."""
    _open_again(context, "restore", ids, Output(as_json=as_json), why, dry_run=dry_run, yes=yes)


def reopen(
    context: typer.Context,
    *,
    ids: DeadLetterIds,
    why: Why = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Wait no longer for replays that nobody answers, from half an hour on: the dead letters are open again.

    Replayed again they have no effect twice, even if the first replay is handled after all.
    """
    _open_again(context, "reopen", ids, Output(as_json=as_json), why, dry_run=dry_run, yes=yes)


def _open_again(
    context: typer.Context, action: str, ids: list[UUID], output: Output, why: str | None, *, dry_run: bool, yes: bool
) -> None:
    unique = list(dict.fromkeys(ids))
    with open_client(context) as client:
        if dry_run:
            letters = [client.get(f"/deadletters/{one}") for one in unique[:EXAMPLES_MAX]]
            preview = {"selected": len(unique), "dry_run": True, "examples": letters}
            output.result(preview, lambda found: preview_view(found, now()))
            return
        if len(unique) > 1:
            require_consent(output, f"{action.capitalize()} {len(unique)} dead letters", is_given=yes)
        document = {"why": reason_of(output, why)}
        if len(unique) == 1:
            letter = client.post(f"/deadletters/{unique[0]}/{action}", document)
            output.result(letter, lambda found: letter_view(found, now()))
        else:
            _open_many(lambda one: client.post(f"/deadletters/{one}/{action}", document), unique, output)


def _replay_one(
    client: Client, dead_letter_id: UUID, output: Output, why: str, *, wait: bool, timeout_s: float | None
) -> None:
    letter = client.post(f"/deadletters/{dead_letter_id}/replay", {"why": why})
    if wait:
        letter = wait_for_letter(client, letter, output, timeout_s)
    output.result(letter, lambda found: letter_view(found, now()))
    if wait and letter["state"] != RESOLVED:
        again = f"it failed again: {letter['description']}" if letter["state"] == OPEN else f"it is {letter['state']}"
        raise Failed(again)


def _replay_many(
    client: Client, selection: Selection, document: Json, output: Output, *, wait: bool, timeout_s: float | None
) -> None:
    bulk = client.post("/bulkreplays", document)
    if not wait:
        output.note(f"It goes on by itself: dlq bulk show {bulk['bulk_replay_id']} --wait")
    finish_bulk(client, bulk, output, wait=wait, timeout_s=timeout_s)
    _require_known(client, selection, bulk["total"])


def _require_consent_for(
    client: Client, path: str, selection: Selection, output: Output, what: str, *, is_given: bool
) -> None:
    if is_given:
        return
    found = client.post(
        path, {**selection.document(), "why": reason_of(output, None, is_dry_run=True), "dry_run": True}
    )
    require_consent(output, what.format(number_of(found["selected"])), is_given=False)


def _manner(order: Json) -> str:
    canaries = f"{order['canary']} first" if order["canary"] else "no canary"
    return f"{canaries}, then {order['rate_per_s']:g}/s, until more than {order['max_failure_ratio']:.0%} fail"


def _preview(client: Client, path: str, selection: Selection, output: Output, why: str) -> None:
    found = client.post(path, {**selection.document(), "why": why, "dry_run": True})
    preview = {
        "selected": found["selected"],
        **({"undecodable": found["undecodable"]} if "undecodable" in found else {}),
        "dry_run": True,
        "examples": _examples(client, selection),
    }
    output.result(preview, lambda shown: preview_view(shown, now()))
    _require_known(client, selection, found["selected"])


def _examples(client: Client, selection: Selection) -> list[Json]:
    if not selection.ids:
        query: dict[str, Any] = {"state": OPEN, **selection.conditions, "limit": EXAMPLES_MAX}
        return list(client.get("/deadletters", query)["items"])
    letters = []
    for one in selection.ids[:EXAMPLES_MAX]:
        try:
            letters.append(client.get(f"/deadletters/{one}"))
        except Unreachable:
            raise
        except CommandError:
            continue
    return letters


def _require_known(client: Client, selection: Selection, selected: int) -> None:
    named = len(selection.ids)
    if selected >= named:
        return
    missing = named - selected
    unknown = list(islice((one for one in selection.ids if not _is_known(client, one)), missing))
    raise Failed(f"not known, {missing} of the {named} ids: {', '.join(map(str, unknown))}")


def _is_known(client: Client, dead_letter_id: UUID) -> bool:
    try:
        client.get(f"/deadletters/{dead_letter_id}")
    except NotFound:
        return False
    return True


def _open_many(open_one: Callable[[UUID], Json], ids: list[UUID], output: Output) -> None:
    opened: list[Json] = []
    refused: list[Json] = []
    for one in ids:
        try:
            opened.append(open_one(one))
        except Unreachable:
            raise
        except CommandError as error:
            output.note(f"{one}: {error}")
            refused.append({"dead_letter_id": str(one), "error": str(error)})
    output.result({"items": opened, "refused": refused}, lambda found: letters_view(found["items"], now()))
    if refused:
        raise Failed(f"{len(refused)} of {len(ids)} are not open again")
