"""What the services spend their processor time on at saturation, as a sampling profiler sees it from outside."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from measuring.markdown import table

from peers.suite import CORE
from scenarios.scenario import Figures, Scenario, faults_of, suite_at_work

SAMPLES_PER_S = 100
LIMIT_S = 60.0
KINDS = {
    "the runtime": ("shared_runtime",),
    "handlers, rules, messages": (*CORE, "shared_contracts"),
    "event loop and its system calls": ("asyncio",),
    "PostgreSQL's driver": ("asyncpg",),
    "AMQP client": ("aio_pika", "aiormq", "pamqp"),
    "HTTP": ("uvicorn", "starlette", "fastapi"),
    "checking and writing of JSON": ("pydantic",),
    "traces, figures, log": ("opentelemetry", "prometheus_client", "structlog"),
}
"""By kind of work: the packages whose code does it."""
OTHER = "other"
HANDLERS = "Processor._call"
SECTION = """## What the services' time goes into

Saturation once more, with a profiler that looks {per_second} times per second what each service is doing, while it is
doing something. CPU milliseconds per delivery, and their share of the service's own. Time counts for the Python code
that runs, or that has called into C: what msgspec does for the runtime is the runtime's, what the driver writes to its
socket is the driver's.

{table}
While handlers run, one per message, their rules and the making of what they publish included, so much of the time goes
by: {handled}. The rest is what surrounds them: reading, checking, loading, saving, publishing, acknowledging,
answering.
"""


async def measure(options: argparse.Namespace) -> Figures:
    """One load, watched."""
    profiler = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if profiler is None:
        raise FileNotFoundError("py-spy is not there")
    with suite_at_work(options) as (running, measurement), tempfile.TemporaryDirectory() as folder:
        warm_per_s = await measurement.warm_up()
        async with AsyncExitStack() as watched:
            files = {}
            for service in running.services:
                if service.name not in CORE:
                    continue
                files[service.name] = Path(folder, service.name)
                settings = ("--rate", str(SAMPLES_PER_S), "--duration", str(int(options.seconds)), "--nonblocking")
                output = ("--format", "raw", "--output", str(files[service.name]))
                command = (profiler, "record", "--pid", str(service.process.record.pid), *settings, *output)
                process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=PIPE)
                watched.push_async_callback(_end, process)
            # Somewhat longer than what is watched.
            saturation = await measurement.measure(warm_per_s, options.seconds * 1.5)
        shares = {name: shares_of(file.read_text().splitlines()) for name, file in files.items()}
        wrong = await running.verify(measurement.accepted)
    return {"saturation": saturation, "shares": shares, "wrong": wrong + faults_of({"saturation": saturation})}


async def _end(process: Process) -> None:
    """Wait until it has written what it saw. Raises RuntimeError with what it said when it could not look."""
    try:
        async with asyncio.timeout(LIMIT_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise TimeoutError(f"the profiler did not end within {LIMIT_S:.0f} s") from None
    if process.returncode != 0:
        raise RuntimeError(f"the profiler saw nothing: {said.decode(errors='replace').strip()}")


def shares_of(stacks: Iterable[str]) -> dict[str, float]:
    """The share of each kind of work in these stacks (`outermost;...;innermost count`), and that of handlers."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        counts["all"] += int(count)
        counts[_kind_of(stack.rpartition(";")[2])] += int(count)
        if HANDLERS in stack:
            counts[HANDLERS] += int(count)
    return {kind: counts[kind] / (counts["all"] or 1) for kind in (*KINDS, OTHER, HANDLERS)}


def _kind_of(frame: str) -> str:
    """Of a frame (`function (package/module.py:line)`)."""
    package = frame.rpartition(" (")[2].partition("/")[0]
    return next((kind for kind, packages in KINDS.items() if package in packages), OTHER)


def section(figures: Figures) -> str:
    """A row per kind of work, a column per service."""
    cpu_ms, shares = figures["saturation"]["cpu_ms_per_delivery"], figures["shares"]
    rows = [
        (kind, *(f"{cpu_ms[service] * shares[service][kind]:.3f} ({shares[service][kind]:.0%})" for service in shares))
        for kind in (*KINDS, OTHER)
    ]
    rows.append(("all", *(f"**{cpu_ms[service]:.3f}**" for service in shares)))
    handled = ", ".join(f"{service} {share[HANDLERS]:.0%}" for service, share in shares.items())
    return SECTION.format(per_second=SAMPLES_PER_S, table=table(("kind of work", *shares), rows), handled=handled)


PROFILE = Scenario("profile", measure, section)
