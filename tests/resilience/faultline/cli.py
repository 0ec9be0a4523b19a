"""The command `python -m faultline`."""

import asyncio
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer

from faultline import checker, namespace
from faultline.faults import FAULTS
from faultline.history import read_trial
from faultline.plan import MIXED
from faultline.report import report
from faultline.runner import CONTROL, Runner, scenarios_of_the_long_run
from faultline.summary import Summary
from faultline.workers import run_side_by_side
from local_stack.errors import StackError
from local_stack.folder import alone_in

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

FOLDER = Path(".resilience")
REPORT = Path("docs/generated/resilience.md")
Folder = Annotated[Path, typer.Option(help="Where sites, logs and the histories of failed trials are kept.")]
Length = Annotated[bool, typer.Option("--long/--short", help="Half a minute of load, or a few seconds.")]
Scenarios = Annotated[str, typer.Option(help=f"{MIXED}, {CONTROL}, all, or faults: a,b for two trials, a+b for one.")]


@app.callback()
def faultline() -> None:
    """Faults against the real suite, and a checker that judges what came of it."""


@app.command()
def run(*, seed: int = 1, scenario: Scenarios = MIXED, folder: Folder = FOLDER, is_long: Length = True) -> None:
    """Trials of one seed. The exit status is 0 when they were valid and broke nothing."""
    namespace.bring_tools()
    namespace.enter()
    names = list(FAULTS) if scenario == "all" else scenario.split(",")
    with _alone_in(folder):
        summaries = asyncio.run(_run(folder, [(name, seed) for name in names], is_long=is_long))
    raise typer.Exit(0 if all(one.is_good or one.skipped for one in summaries) else 1)


@app.command("long")
def long_run(
    *,
    trials: int = 30,
    each: int = 5,
    seed: int = 1,
    sites: Annotated[int, typer.Option(min=1, help="How many trials run at the same time.")] = 2,
    folder: Folder = FOLDER,
    output: Path = REPORT,
) -> None:
    """`each` trials of every fault and `trials` mixed ones, and the report about them, which grows as they are run."""
    namespace.bring_tools()
    planned = scenarios_of_the_long_run(trials, each, seed)
    with _alone_in(folder):
        summaries = asyncio.run(_side_by_side(planned, folder, sites, output))
    nothing_broke = not any(one.violations or one.error for one in summaries)
    is_complete = sum(one.is_good or bool(one.skipped) for one in summaries) >= len(planned)
    raise typer.Exit(0 if nothing_broke and is_complete else 1)


@app.command()
def judge(folder: Path) -> None:
    """Judge the history of a trial that was kept, once more."""
    for verdict in checker.judge(read_trial(folder)):
        _say(str(verdict))


@app.command()
def serve(*, folder: Folder = FOLDER, is_long: Length = False) -> None:
    """Run the trials that lines on standard input ask for, and answer each with a line."""
    namespace.enter()
    _prepare(folder)
    asyncio.run(_serve(folder, is_long=is_long))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two that run trials in one folder would break each other's sites, and take it for what the faults did."""
    with ExitStack() as stack:
        try:
            stack.enter_context(alone_in(folder, "a trial"))
        except StackError as error:
            raise typer.BadParameter(f"{error}; choose another with --folder") from None
        yield


async def _run(folder: Path, trials: list[tuple[str, int]], *, is_long: bool) -> list[Summary]:
    _prepare(folder)
    runner = Runner(folder, is_long=is_long)
    summaries: list[Summary] = []
    try:
        for number, (scenario, seed) in enumerate(trials, start=1):
            summaries.append(await runner.run(scenario, seed))
            _tell(f"{number}/{len(trials)}", summaries[-1])
    finally:
        await runner.close()
    return summaries


async def _side_by_side(trials: list[tuple[str, int]], folder: Path, sites: int, output: Path) -> list[Summary]:
    summaries: list[Summary] = []
    scenarios = [scenario for scenario, _ in trials]
    async with aclosing(run_side_by_side(trials, folder, sites=sites, is_long=True)) as ended:
        async for summary in ended:
            summaries.append(summary)
            _tell(f"{len(summaries)}/{len(trials)}", summary)
            in_order = sorted(summaries, key=lambda one: (scenarios.index(one.scenario), one.seed))
            await asyncio.to_thread(output.write_text, report(in_order, _machine(), sites))
    return summaries


async def _serve(folder: Path, *, is_long: bool) -> None:
    runner = Runner(folder, is_long=is_long)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            wanted = msgspec.json.decode(line, type=Summary)
            summary = await runner.run(wanted.scenario, wanted.seed)
            sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
            sys.stdout.flush()
    finally:
        await runner.close()


def _prepare(folder: Path) -> None:
    """Keep what the fleet logs off the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "driver.log", filemode="w", level=logging.INFO, format="%(asctime)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _tell(number: str, summary: Summary) -> None:
    if summary.skipped:
        _say(f"{number} {summary.scenario}, seed {summary.seed}: not possible here: {summary.skipped}")
        return
    end = "good" if summary.is_good else "void" if summary.is_void else "BAD"
    progress = "never" if summary.progress_s is None else f"{summary.progress_s:.1f} s"
    _say(
        f"{number} {summary.scenario}, seed {summary.seed}: {end} in {summary.duration_s:.0f} s; "
        f"{summary.accepted} accepted, {summary.handled} effects, {summary.duplicates} duplicates, back: {progress}"
    )
    for fault, evidence in zip(summary.faults, summary.evidence, strict=True):
        _say(f"    {fault}: {evidence or 'was not there'}")
    for complaint in (*summary.violations, summary.error):
        if complaint:
            _say(f"    {complaint}")


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def main() -> None:
    """Entry point of `python -m faultline`."""
    # An orderly end for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()
