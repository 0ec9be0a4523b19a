"""Ends a stack whose owner is gone: the last resort when the owner had no time to stop it, as after `kill -9`.

Run as `python -m local_stack.guardian <data folder> <owner's pid> <owner's start>`, in a session of its own. Not the
kernel's parent-death signal (prctl): that one fires when the *thread* that started the child ends, and it leaves behind
what the child started.
"""

import os
import select
import signal
import sys
from pathlib import Path

from local_stack.folder import StackFolder
from local_stack.process_table import process_start
from local_stack.processes import ManagedProcess, spawn
from local_stack.records import read_record, read_records

NAME = "guardian"
SUPERVISOR = "supervisor"
"""The process that starts again what died, see `local_stack.supervisor`."""
_POSTGRES_TIMEOUT_S = 5.0


def start_guardian(folder: StackFolder) -> ManagedProcess:
    """Have the processes on record in this folder ended when the calling process is gone."""
    owner = os.getpid()
    command = [sys.executable, "-m", "local_stack.guardian", str(folder.root), str(owner), process_start(owner) or ""]
    return spawn(folder, NAME, command, environment=os.environ)


def end_everything(folder: StackFolder) -> None:
    """End all processes on record but the guardian, the youngest first, without farewell."""
    end_supervisor(folder)
    for record in reversed(read_records(folder)):
        process = ManagedProcess(folder, record)
        if record.name == NAME:
            continue
        if record.name == "postgresql":
            # An immediate shutdown, so that it gives its shared memory back.
            process.stop(signal.SIGQUIT, timeout_s=_POSTGRES_TIMEOUT_S)
        else:
            process.kill()


def end_supervisor(folder: StackFolder) -> None:
    """End the process that would start again what is about to be stopped, if there is one."""
    record = read_record(folder, SUPERVISOR)
    if record is not None:
        ManagedProcess(folder, record).kill()


def _wait_for_end(pid: int, start: str) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if process_start(pid) == start:
        select.select([descriptor], [], [])
    os.close(descriptor)


def main() -> None:
    """Wait for the owner's end, then end what it left."""
    folder, owner, start = StackFolder(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
    _wait_for_end(owner, start)
    end_everything(folder)


if __name__ == "__main__":
    main()
