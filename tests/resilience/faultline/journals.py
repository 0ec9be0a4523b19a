"""Reads what the instrumented processes noted, and makes batches of it. Pure, but for the reading."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from faultline.history import Batch, Call, Outcome


def read_journal(path: Path, offset: int = 0) -> list[dict[str, Any]]:
    """The lines from a position in the file on. A line that a dying process left unfinished is left out."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(offset)
        lines = file.read().split(b"\n")
    return [json.loads(line) for line in lines[:-1] if line]


def batches_of(notes: Iterable[dict[str, Any]]) -> list[Batch]:
    """The transactions of one process, in the order in which their commits were asked for.

    A batch whose end nobody noted, and one whose commit failed (the answer may have been lost), are of unknown outcome.
    """
    begun: dict[tuple[int, int], dict[str, Any]] = {}
    ended: dict[tuple[int, int], dict[str, Any]] = {}
    for note in notes:
        if "batch" not in note:
            continue
        identity = (note["pid"], note["batch"])
        (begun if note["event"] == "commit" else ended)[identity] = note
    absorbing = [identity for identity in ended if identity not in begun and ended[identity].get("duplicates")]
    return [_batch(identity, begun.get(identity), ended.get(identity)) for identity in [*begun, *absorbing]]


def _batch(identity: tuple[int, int], begin: dict[str, Any] | None, end: dict[str, Any] | None) -> Batch:
    note = begin or end or {}
    is_committed = end is not None and end["event"] == "committed"
    return Batch(
        process=note["process"],
        pid=identity[0],
        number=identity[1],
        subscription=note["subscription"],
        calls=[Call(*call) for call in note.get("calls", [])],
        commit_at=note["at"],
        outcome=Outcome.COMMITTED if is_committed else Outcome.UNKNOWN,
        duplicates=end["duplicates"] if end is not None and is_committed else [],
    )
