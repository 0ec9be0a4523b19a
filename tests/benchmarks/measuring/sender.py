"""Processes that prepare what they send, wait for the word, and tell at the end how it went."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from local_stack.ports import LOOPBACK

BENCHMARKS = Path(__file__).parent.parent
LOAD = BENCHMARKS / "load.py"
PREPARATION_S = 60.0


class Sender:
    """A process that is prepared and waits for the word."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def go(self) -> None:
        """Begin to send."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")

    async def result(self, timeout_s: float) -> dict[str, Any]:
        """What it has to tell when it has ended. Raises TimeoutError, or RuntimeError when it failed."""
        try:
            async with asyncio.timeout(timeout_s):
                output, _ = await self._process.communicate()
        except TimeoutError:
            raise TimeoutError(f"what was to be sent was not sent, or not answered, within {timeout_s:.0f} s") from None
        if self._process.returncode != 0:
            raise RuntimeError(f"what was to be sent was not: exit status {self._process.returncode}")
        figures: dict[str, Any] = json.loads(output)
        return figures


@asynccontextmanager
async def sender(
    ports: Sequence[int], requests: int, connections: int, rate_per_s: float | None = None
) -> AsyncIterator[Sender]:
    """A load of so many requests, spread over the ports: as fast as they are answered, or at a rate of its own."""
    numbers = [requests, connections, *([] if rate_per_s is None else [rate_per_s])]
    command = [str(LOAD), LOOPBACK, ",".join(map(str, ports)), *map(str, numbers)]
    async with prepared(command, PREPARATION_S + requests / 1000) as load:
        yield load


@asynccontextmanager
async def prepared(
    command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Sender]:
    """A Python process that has said that it is ready. It has ended when the block ends, however it ends.

    Raises TimeoutError or RuntimeError when it does not get ready.
    """
    variables = {**os.environ, "PYTHONPATH": str(BENCHMARKS), **(environment or {})}
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE, env=variables)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(timeout_s):
            if await process.stdout.readline() != b"ready\n":
                raise RuntimeError(f"{command[0]} did not get ready")
        yield Sender(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
