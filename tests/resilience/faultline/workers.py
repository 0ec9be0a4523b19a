"""Processes that run trials side by side, each with a site, a network and mounts of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from faultline.summary import Summary

STOP_TIMEOUT_S = 60.0
SEEDS_IN_PLACE_OF_VOID_ONES = 1_000
"""What is added to the seed of a void trial; once."""
LINE_BYTES_MAX = 16 * 1024 * 1024
"""A summary with many violations is long."""


class Worker:
    """A process that runs one trial after the other. Started when it is needed; ends with `close`."""

    def __init__(self, folder: Path, *, is_long: bool) -> None:
        self.folder = folder
        self._is_long = is_long
        self._process: Process | None = None
        self._is_busy = False

    async def run(self, scenario: str, seed: int) -> Summary:
        """Run one trial. A process that ends meanwhile is told in the summary, and the next trial has a new one."""
        process = self._process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(Summary(scenario=scenario, seed=seed)) + b"\n")
        self._is_busy = True
        answer = await process.stdout.readline()
        self._is_busy = False
        if answer:
            return msgspec.json.decode(answer, type=Summary)
        await self.close()
        return Summary(scenario=scenario, seed=seed, error=f"the process of the trial ended, see {self._errors}")

    async def close(self) -> None:
        """Let the process stop its site and end; kill it when it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        if self._is_busy and process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def _errors(self) -> Path:
        return self.folder / "stderr.log"

    async def _start(self) -> Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        length = "--long" if self._is_long else "--short"
        with self._errors.open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "faultline", "serve", length, "--folder", str(self.folder)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
                limit=LINE_BYTES_MAX,
            )


async def run_side_by_side(
    trials: Sequence[tuple[str, int]], folder: Path, *, sites: int, is_long: bool
) -> AsyncGenerator[Summary]:
    """Run the trials on so many sites at the same time; their summaries in the order in which they end.

    A void one, whose fault came when nothing was under way, is made up for by another with a seed of its own.
    """
    workers = [Worker(folder / f"worker-{number}", is_long=is_long) for number in range(1, sites + 1)]
    idle: asyncio.Queue[Worker] = asyncio.Queue()
    for worker in workers:
        idle.put_nowait(worker)

    async def run(scenario: str, seed: int) -> Summary:
        worker = await idle.get()
        try:
            return await worker.run(scenario, seed)
        finally:
            idle.put_nowait(worker)

    # Tasks wait for a worker in the order in which they were made.
    tasks = {asyncio.create_task(run(*trial)) for trial in trials}
    try:
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                summary = task.result()
                if summary.is_void and summary.seed < SEEDS_IN_PLACE_OF_VOID_ONES:
                    tasks.add(asyncio.create_task(run(summary.scenario, summary.seed + SEEDS_IN_PLACE_OF_VOID_ONES)))
                yield summary
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in workers))
