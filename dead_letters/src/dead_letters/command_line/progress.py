"""Waiting for replays to end, with something to look at meanwhile."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dead_letters.command_line.client import Client, Json
from dead_letters.command_line.exits import Failed, Unreachable
from dead_letters.command_line.output import Output
from dead_letters.command_line.views.bulk import counts_of

POLL_INTERVAL_S = 0.5
PATIENCE_S = 30.0
"""So long the service may be away meanwhile: it may be started anew."""
NOTE_INTERVAL_S = 5.0
RUNNING = "running"
REPLAYING = "replaying"


def wait_for_letter(client: Client, letter: Json, output: Output, timeout_s: float | None) -> Json:
    """The dead letter when its replay is answered. Raises Failed when it takes longer than it may."""
    path = f"/deadletters/{letter['dead_letter_id']}"
    output.note(f"Waiting for {letter['subscription']} ...")
    return _wait(
        lambda: client.get(path),
        is_over=lambda found: found["state"] != REPLAYING,
        tell=lambda _: None,
        what=f"{letter['subscription']} has not answered; see `dlq show {letter['dead_letter_id']}`",
        timeout_s=timeout_s,
    )


def wait_for_bulk(client: Client, bulk_replay_id: UUID, output: Output, timeout_s: float | None) -> Json:
    """The bulk replay when it does not run any more. Raises Failed when it takes longer than it may."""
    goes_on = f"the bulk replay goes on, see `dlq bulk show {bulk_replay_id} --wait`"
    try:
        with _progress(output) as tell:
            return _wait(
                lambda: client.get(f"/bulkreplays/{bulk_replay_id}"),
                is_over=lambda found: found["state"] != RUNNING,
                tell=tell,
                what=goes_on,
                timeout_s=timeout_s,
            )
    except KeyboardInterrupt:
        output.note(f"Interrupted; {goes_on}")
        raise


def _wait(
    ask: Callable[[], Json],
    *,
    is_over: Callable[[Json], bool],
    tell: Callable[[Json], None],
    what: str,
    timeout_s: float | None,
) -> Json:
    begun = answered = time.monotonic()
    while True:
        try:
            found = ask()
        except Unreachable:
            if time.monotonic() - answered > PATIENCE_S:
                raise
        else:
            answered = time.monotonic()
            tell(found)
            if is_over(found):
                return found
        if timeout_s is not None and time.monotonic() - begun > timeout_s:
            raise Failed(f"not ended within {timeout_s:g} s: {what}")
        time.sleep(POLL_INTERVAL_S)


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[Json], None]]:
    if not output.stderr.is_terminal:
        yield _Notes(output)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.stderr, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(bulk: Json) -> None:
            done = bulk["handled"] + bulk["failed"] + bulk["skipped"]
            failed = f", {bulk['failed']} failed" if bulk["failed"] else ""
            bar.update(task, description=f"{bulk['state']}{failed}", completed=done, total=bulk["total"])

        yield tell


class _Notes:
    """A line now and then, when it has changed."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told = ""
        self._told_at = float("-inf")

    def __call__(self, bulk: Json) -> None:
        line = f"{bulk['state']}: {counts_of(bulk)}"
        if line != self._told and time.monotonic() - self._told_at >= NOTE_INTERVAL_S:
            self._output.note(line)
            self._told, self._told_at = line, time.monotonic()
