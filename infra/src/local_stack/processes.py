"""Starting, pausing and ending processes together with everything they started."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from local_stack.errors import ProcessDiedError, StackError, tail
from local_stack.folder import StackFolder
from local_stack.process_table import family_of, process_start, processes_in
from local_stack.records import ProcessRecord, remove_record, write_record

_KILL_TIMEOUT_S = 10.0
_POLL_S = 0.02
# The child waits for a line before it becomes the program: it is on record before it does anything, and it ends by
# itself when its parent dies in between.
_GATE = 'read -r go && exec "$@" </dev/null'


class ManagedProcess:
    """A process of the stack, started by this Python process or found on record."""

    def __init__(
        self, folder: StackFolder, record: ProcessRecord, child: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.record = record
        self._folder = folder
        self._child = child

    @property
    def is_running(self) -> bool:
        return self.record.is_running

    @property
    def log(self) -> Path:
        return self._folder.log(self.record.name)

    @property
    def log_tail(self) -> str:
        return tail(self.log)

    def require_running(self) -> None:
        """Raises ProcessDiedError with the end of its log when it has ended."""
        if not self.is_running:
            status = None if self._child is None else self._child.wait()
            raise ProcessDiedError(
                f"{self.record.name} ended (exit status {status}); the end of {self.log}:\n{self.log_tail}"
            )

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end and return the exit status, None when it still runs after the time limit."""
        if self._child is None:
            raise StackError(f"{self.record.name} was started by another process, which gets its exit status")
        try:
            return self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def collect(self) -> None:
        """Take note of its end, so that the process table can forget it; what it started goes on."""
        if self._child is not None:
            self._child.wait()

    def stop(self, how: signal.Signals = signal.SIGTERM, *, timeout_s: float) -> bool:
        """Ask it to end, kill it when it does not. Returns whether it ended by itself."""
        family = self._family()
        if family:
            _send(family, signal.SIGCONT)
            _send(family[:1], how)
            _wait_gone(family[:1], timeout_s)
        ended_by_itself = not self.is_running
        self._end(family)
        return ended_by_itself

    def kill(self) -> None:
        """End it and everything it started with SIGKILL."""
        self._end(self._family())

    def pause(self) -> None:
        """Keep it and everything it started from running: ports and connections stay, nothing answers."""
        _send(self._family(), signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        _send(self._family(), signal.SIGCONT)

    def _family(self) -> list[ProcessRecord]:
        if not self.is_running:
            return []
        starts = ((pid, process_start(pid)) for pid in family_of(self.record.pid))
        return [ProcessRecord(self.record.name, pid, start) for pid, start in starts if start is not None]

    def _end(self, family: Sequence[ProcessRecord]) -> None:
        # Once more: it may have started others since.
        everybody = {*family, *self._family()}
        _send(everybody, signal.SIGKILL)
        left = _wait_gone(everybody, _KILL_TIMEOUT_S)
        if left:
            raise StackError(f"{self.record.name}: cannot kill processes {[process.pid for process in left]}")
        self.collect()
        remove_record(self._folder, self.record)


def spawn(
    folder: StackFolder,
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    port: int | None = None,
    working_folder: Path | None = None,
) -> ManagedProcess:
    """Start a process, on record, with a log, in a session of its own: a Ctrl-C in the terminal does not reach it."""
    with folder.log(name).open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - the commands are this package's own
            ["/bin/sh", "-c", _GATE, name, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=working_folder or folder.root,
            start_new_session=True,
        )
    record = ProcessRecord(name, child.pid, process_start(child.pid) or "", port)
    try:
        write_record(folder, record)
    except BaseException:
        child.kill()
        child.wait()
        raise
    _open_gate(child.stdin)
    return ManagedProcess(folder, record, child)


def run_command(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
    timeout_s: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end and return what it wrote. Raises StackError when there is no such command or
    it takes too long."""
    try:
        return subprocess.run(  # noqa: S603 - the commands are this package's own
            command,
            env=environment,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except FileNotFoundError as error:
        raise StackError(f"the command {command[0]} is missing on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{command[0]} did not end within {timeout_s:.0f} s") from error


def wait_until_gone(record: ProcessRecord, timeout_s: float) -> bool:
    """Wait for the end of a process that ends without our doing. Returns whether it has ended."""
    return not _wait_gone([record], timeout_s)


def end_orphans(program: Path, folder: Path) -> None:
    """Kill all processes of a program that work in this folder, on record or not. Raises StackError when it cannot."""
    starts = ((pid, process_start(pid)) for pid in processes_in(folder, program))
    orphans = [ProcessRecord(program.name, pid, start) for pid, start in starts if start is not None]
    _send(orphans, signal.SIGKILL)
    if left := _wait_gone(orphans, _KILL_TIMEOUT_S):
        raise StackError(f"{program.name}: cannot kill processes {[process.pid for process in left]}")


def _open_gate(stdin: IO[bytes] | None) -> None:
    # A child that is dead already is noticed, with its log, by whoever waits for it to be ready.
    with contextlib.suppress(BrokenPipeError):
        if stdin is not None:
            stdin.write(b"go\n")
            stdin.close()


def _send(processes: Iterable[ProcessRecord], what: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            if process.is_running:
                os.kill(process.pid, what)


def _wait_gone(processes: Iterable[ProcessRecord], timeout_s: float) -> list[ProcessRecord]:
    """The processes that still run after the time limit."""
    deadline = time.monotonic() + timeout_s
    while left := [process for process in processes if process.is_running]:
        if time.monotonic() > deadline:
            return left
        time.sleep(_POLL_S)
    return []
