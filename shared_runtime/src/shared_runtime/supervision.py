"""Loops that are meant to run for ever: started again when they fail, and stopped together."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Container
from typing import Any

import structlog

from shared_runtime.errors import TransientError, text_of
from shared_runtime.metrics import LOOP_FAILURES

log: Any = structlog.get_logger(__name__)


def was_cancelled() -> bool:
    """Whether somebody cancelled the task that runs this: a CancelledError may also come out of a broken connection."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Pause:
    """Growing pauses with jitter, in seconds, until `reset`."""

    def __init__(self, initial_s: float = 0.1, max_s: float = 5.0) -> None:
        self.initial_s = initial_s
        self.max_s = max_s
        self.attempts = 0

    def reset(self) -> None:
        self.attempts = 0

    def next_s(self) -> float:
        exponential_s = min(self.max_s, self.initial_s * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return exponential_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class Supervisor:
    """Keeps named loops running. A loop that raises or returns is started again after a pause."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failing: dict[str, str] = {}
        """Loops that failed and have not yet run for `healthy_after_s` since, with their last error."""
        self.healthy_after_s = 5.0

    def start(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        """Run `loop` under `name` until `stop`."""
        if name in self._tasks:
            raise ValueError(f"loop {name} runs already")
        self._tasks[name] = asyncio.create_task(self._keep_running(name, loop), name=name)

    async def stop(self, *, but: Container[str] = (), timeout_s: float = 5.0) -> None:
        """Cancel all loops except those that `but` names, and wait for their end, but not longer than `timeout_s`."""
        tasks = [self._tasks.pop(name) for name in list(self._tasks) if name not in but]
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=timeout_s)
            if pending:
                log.warning("loops_do_not_end", loops=[task.get_name() for task in pending])

    async def _keep_running(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        pause = Pause()
        clock = asyncio.get_running_loop()
        while True:
            started = clock.time()
            healthy = clock.call_later(self.healthy_after_s, self.failing.pop, name, None)
            try:
                await loop()
                error = "returned"
            except asyncio.CancelledError:
                if was_cancelled():
                    raise
                error = "CancelledError from a broken connection"
            except (TransientError, OSError) as failure:
                # A server is out of reach, which needs no stack.
                error = text_of(failure)
            except Exception as failure:
                error = text_of(failure)
                log.exception("loop_failed", loop=name)
            finally:
                healthy.cancel()
            if clock.time() - started > self.healthy_after_s:
                pause.reset()
            self.failing[name] = error
            LOOP_FAILURES.labels(name).inc()
            pause_s = pause.next_s()
            log.warning("loop_restarts", loop=name, error=error, pause_s=round(pause_s, 3))
            await asyncio.sleep(pause_s)
