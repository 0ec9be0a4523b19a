"""What every part of a stack can do, servers and services alike."""

import signal
import time
from abc import ABC, abstractmethod

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.ports import free_port
from local_stack.processes import ManagedProcess
from local_stack.records import read_record

_POLL_S = 0.05


class Part(ABC):
    """One process of the stack, with the port it listens on. The port stays the same whenever it is started again."""

    start_timeout_s = 60.0
    stop_timeout_s = 15.0
    stop_signal = signal.SIGTERM

    def __init__(self, folder: StackFolder, name: str, port: int | None = None) -> None:
        self.name = name
        self.port = port or free_port()
        self.folder = folder
        self._process: ManagedProcess | None = None

    @abstractmethod
    def launch(self) -> None:
        """Start the process without waiting until it can be used."""

    @abstractmethod
    def obstacle(self) -> str | None:
        """Why it cannot be used now, in a few words; None when it can."""

    def start(self) -> None:
        """Start the process and wait until it can be used. Raises as `wait_ready` does."""
        self.launch()
        self.wait_ready()

    def relaunch(self) -> None:
        """Start another process in place of one that has ended, without waiting until it can be used."""
        if self._process is not None:
            self._process.collect()
        self.launch()

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until it can be used.

        Raises ProcessDiedError as soon as the process has ended and StackError when the time is over, both with the end
        of its log.
        """
        limit_s = timeout_s or self.start_timeout_s
        deadline = time.monotonic() + limit_s
        while (obstacle := self.obstacle()) is not None:
            self.process.require_running()
            if time.monotonic() > deadline:
                log = f"the end of {self.process.log}:\n{self.process.log_tail}"
                raise StackError(f"{self.name} was not ready within {limit_s:.0f} s ({obstacle}); {log}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ask it to finish what it is doing and to end; kill it after a time limit. One that has ended stays so."""
        if self._process is not None:
            self._process.stop(self.stop_signal, timeout_s=self.stop_timeout_s)

    def kill(self) -> None:
        """End it and everything it started with SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        """Keep it from running (SIGSTOP): its port and its connections stay, nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """End a pause."""
        self.process.resume()

    def restart(self) -> None:
        """Stop it (when it runs) and start it again, on the same port with the same data."""
        self.stop()
        self.start()

    def adopt(self) -> bool:
        """Take over process and port of what was started elsewhere in this data folder. Returns whether it runs."""
        record = read_record(self.folder, self.name)
        if record is None:
            return False
        self.port = record.port or self.port
        if record.is_running:
            self._process = ManagedProcess(self.folder, record)
        return record.is_running

    @property
    def is_running(self) -> bool:
        """Whether it was started, or adopted, and has not ended: paused or not, ready or not."""
        return self._process is not None and self._process.is_running

    @property
    def process(self) -> ManagedProcess:
        """The running process. Raises StackError when it was never started."""
        if self._process is None:
            raise StackError(f"{self.name} was not started")
        return self._process
