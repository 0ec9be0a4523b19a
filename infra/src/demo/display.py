"""What the person at the terminal sees: progress while the run goes on, and at the end what became of everything."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.case import Case
from demo.invariants import Verdict
from demo.kinds import Kind
from demo.progress import Progress, stages_of
from demo.run import Conduct, Outcome
from shared_contracts.domain_types import DeliveryStage

REFRESH_S = 0.25
LINE_INTERVAL_S = 2.0
SHOWN_SURPRISES = 3

STAGE_COLUMNS: dict[str, frozenset[DeliveryStage]] = {
    "waiting": frozenset({DeliveryStage.PENDING}),
    "booked": frozenset({DeliveryStage.CREATED, DeliveryStage.RESCHEDULED}),
    "to pickup": frozenset({DeliveryStage.HEADED_TO_PICKUP}),
    "to drop-off": frozenset({DeliveryStage.HEADED_TO_DROPOFF}),
    "completed": frozenset({DeliveryStage.COMPLETED}),
    "cancelled": frozenset({DeliveryStage.CANCELLED}),
    "failed": frozenset({DeliveryStage.FAILED}),
}


async def show_progress(console: Console, progress: Progress) -> None:
    """Show it until cancelled: a live table on a terminal, a line every two seconds elsewhere."""
    started_at = time.monotonic()
    if not console.is_terminal:
        await _print_lines(console, progress, started_at)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            line = Text(summary(progress, time.monotonic() - started_at), no_wrap=True, overflow="ellipsis")
            live.update(Group(progress_table(progress), line), refresh=True)
            await asyncio.sleep(REFRESH_S)


async def _print_lines(console: Console, progress: Progress, started_at: float) -> None:
    before = ""
    while True:
        line = progress_line(progress, time.monotonic() - started_at)
        # The time alone is no news.
        news = line.partition(" s  ")[2]
        if news != before:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            before = news
        await asyncio.sleep(LINE_INTERVAL_S)


def summary(progress: Progress, elapsed_s: float) -> str:
    """Where the run stands, without what the table shows."""
    phase = progress.phase or ("landing" if progress.ended else "getting ready")
    line = (
        f"{elapsed_s:5.1f} s  {phase}: "
        f"{progress.accepted + progress.refused} of {len(progress.cases)} sent, {progress.ended} ended; "
        f"{progress.drones_under_way} of {progress.drones} drones under way, {progress.reports_sent} reports"
    )
    return line + (f"; {progress.outages} retries after an outage" if progress.outages else "")


def progress_line(progress: Progress, elapsed_s: float) -> str:
    """The run in one line."""
    counts = ", ".join(f"{count} {name}" for name, count in _by_column(progress.stages).items() if count)
    return summary(progress, elapsed_s) + (f"; {counts}" if counts else "")


def progress_table(progress: Progress) -> Table:
    """A row per kind of request, a column per stage."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("request")
    for column in ("sent", *STAGE_COLUMNS, "refused"):
        table.add_column(column, justify="right", min_width=5)
    for kind, cases in by_kind(progress.cases).items():
        sent = sum(case.delivery_id is not None or case.refusal is not None for case in cases)
        refused = sum(case.refusal is not None for case in cases)
        cells = (sent, *_by_column(stages_of(cases)).values(), refused)
        table.add_row(kind.value, *(str(cell) if cell else "" for cell in cells))
    return table


def show_outcome(console: Console, outcome: Outcome) -> None:
    """Show what became of each kind, the invariants and, when something went wrong, what."""
    console.print(ending_table(outcome.cases))
    for case in outcome.surprises:
        console.print(f"  unexpected: {case.kind}, {case.delivery_id}: {case.surprise}", style="red", highlight=False)
    console.print()
    console.print(verdict_table(outcome.verdicts))
    for verdict in outcome.violations:
        console.print(
            f"  {verdict.name}: {verdict.details}", style="red", markup=False, highlight=False, soft_wrap=True
        )


def ending_table(cases: Sequence[Case]) -> Table:
    """What became of each kind of request."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("request")
    table.add_column("sent", justify="right")
    table.add_column("what became of it")
    table.add_column("as it should", justify="right")
    for kind, of_kind in by_kind(cases).items():
        endings = Counter(case.ending for case in of_kind)
        good = sum(case.surprise is None for case in of_kind)
        told = ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
        style = "green" if good == len(of_kind) else "red"
        table.add_row(kind.value, str(len(of_kind)), told + _remark(of_kind), Text(f"{good} of {len(of_kind)}", style))
    return table


def verdict_table(verdicts: Iterable[Verdict]) -> Table:
    """Every invariant with its verdict."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("looked at", justify="right")
    table.add_column("what has to be true")
    for verdict in verdicts:
        mark = Text("ok", "green") if verdict.holds else Text(f"FAILED ({len(verdict.offenders)})", "red")
        table.add_row(mark, str(verdict.checked), verdict.sentence)
    return table


def announcement(requests: int, conduct: Conduct) -> str:
    """What is about to happen, and what the speed of the drones does to the times that are told."""
    factor = conduct.speed_factor
    told = f"Sending {requests} requests; {conduct.drones} drones fly at {factor:g} times their speed."
    if factor != 1:
        told += "\nThe services do not know: the ETAs that they tell are those of drones at real speed."
    return told


def times_line(times_s: Mapping[str, float]) -> str:
    """How long each phase took."""
    phases = ", ".join(f"{phase} {time_s:.1f} s" for phase, time_s in times_s.items())
    return f"{phases}; {sum(times_s.values()):.1f} s altogether"


def by_kind(cases: Iterable[Case]) -> dict[Kind, list[Case]]:
    """The requests by kind, in the order of the kinds."""
    groups: dict[Kind, list[Case]] = {kind: [] for kind in Kind}
    for case in cases:
        groups[case.kind].append(case)
    return {kind: group for kind, group in groups.items() if group}


def _by_column(stages: Mapping[DeliveryStage, int]) -> dict[str, int]:
    return {name: sum(stages.get(stage, 0) for stage in members) for name, members in STAGE_COLUMNS.items()}


def _remark(cases: Sequence[Case]) -> str:
    """What the customers saw besides the end."""
    told = [case.status for case in cases if case.status is not None]
    remarks = Counter(seen.value for case in cases for seen in case.seen)
    for status in told:
        for name, change in (("cancellation", status.cancellation), ("new times", status.reschedule)):
            if change is not None:
                reason = f" ({change.refusal_reason})" if change.refusal_reason else ""
                remarks[f"{name} {change.state.lower()}{reason}"] += 1
    return "".join(f"; {count} {remark}" for remark, count in sorted(remarks.items()))
