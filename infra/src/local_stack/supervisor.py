"""Starts again what dies of a stack that runs in the background, until the stack is taken down."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.part import Part

LOOK_INTERVAL_S = 0.5
LONGEST_DELAY_S = 60.0
STABLE_AFTER_S = 60.0
"""What has run for so long is started again at once when it dies."""


@dataclass
class _Watch:
    part: Part
    restarts: int = 0
    delay_s: float = 0.0
    """How long after its last start it may be started again."""
    started_at: float = float("-inf")


class Supervisor:
    """Looks after parts that were started or adopted; each dead one gets another process, on its port, with its data.

    The first time at once, then after 1, 2, 4 ... 60 s, so that a part that cannot live does not keep the machine busy.
    """

    def __init__(self, folder: StackFolder, parts: Sequence[Part], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._watches = [_Watch(part) for part in parts]
        self._clock = clock
        self._write_restarts()

    def watch(self) -> None:
        """Look after them for ever."""
        while True:
            self.look()
            time.sleep(LOOK_INTERVAL_S)

    def look(self) -> None:
        """Start the dead parts whose time has come, without waiting until they are ready."""
        for watch in self._watches:
            ran_for_s = self._clock() - watch.started_at
            if watch.part.is_running:
                if ran_for_s > STABLE_AFTER_S:
                    watch.delay_s = 0.0
            elif ran_for_s >= watch.delay_s:
                self._start(watch)

    def _start(self, watch: _Watch) -> None:
        watch.delay_s = min(max(1.0, 2 * watch.delay_s), LONGEST_DELAY_S)
        watch.started_at = self._clock()
        watch.restarts += 1
        self._write_restarts()
        try:
            watch.part.relaunch()
            outcome = "was started again"
        except (StackError, OSError) as error:
            outcome = f"cannot be started: {error}"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        told = f"{watch.part.name} ended and {outcome} (restart {watch.restarts})"
        print(f"{now} {told}; not again within {watch.delay_s:.0f} s", flush=True)

    def _write_restarts(self) -> None:
        counts = {watch.part.name: watch.restarts for watch in self._watches if watch.restarts}
        write_private(self._folder.restarts, json.dumps(counts))


def read_restarts(folder: StackFolder) -> dict[str, int]:
    """How often each part was started again since the stack came up; parts that never were are left out."""
    try:
        counts: dict[str, int] = json.loads(folder.restarts.read_text())
    except FileNotFoundError:
        return {}
    return counts
