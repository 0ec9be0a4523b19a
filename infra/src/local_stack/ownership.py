"""Who is responsible for a data folder: one process at a time, until it stops, detaches or dies."""

import json
import os
from dataclasses import asdict

from local_stack.errors import AlreadyUpError
from local_stack.folder import StackFolder, write_private
from local_stack.guardian import NAME as GUARDIAN
from local_stack.guardian import start_guardian
from local_stack.process_table import process_start
from local_stack.processes import ManagedProcess, wait_until_gone
from local_stack.records import ProcessRecord, read_record, read_records

_CLEANING_TIMEOUT_S = 30.0


def claim(folder: StackFolder) -> ManagedProcess:
    """Make the calling process the owner: everything in the folder ends when it does. Returns the guardian.

    What a crash left is forgotten. Raises AlreadyUpError when somebody else's stack runs there.
    """
    folder.create()
    with folder.lock("start"):
        _require_unused(folder)
        folder.start_logs()
        owner = ProcessRecord("owner", os.getpid(), process_start(os.getpid()) or "")
        write_private(folder.owner, json.dumps(asdict(owner)))
        return start_guardian(folder)


def is_owner(folder: StackFolder) -> bool:
    """Whether the calling process is responsible for the folder."""
    owner = _owner(folder)
    return owner is not None and (owner.pid, owner.start) == (os.getpid(), process_start(os.getpid()))


def release(folder: StackFolder, guardian: ManagedProcess | None) -> None:
    """End the calling process's ownership; what runs in the folder goes on without an owner.

    `guardian` is what `claim` returned, None when it was interrupted before it could.
    """
    if guardian is None and is_owner(folder) and (record := read_record(folder, GUARDIAN)) is not None:
        guardian = ManagedProcess(folder, record)
    if is_owner(folder):
        folder.owner.unlink(missing_ok=True)
    if guardian is not None:
        guardian.kill()


def _require_unused(folder: StackFolder) -> None:
    owner = _owner(folder)
    if owner is not None and owner.is_running:
        raise AlreadyUpError(f"a stack is already up in {folder.root}, in the hands of process {owner.pid}")
    guardian = read_record(folder, GUARDIAN)
    if guardian is not None and not wait_until_gone(guardian, _CLEANING_TIMEOUT_S):
        raise AlreadyUpError(f"what a killed process left in {folder.root} is still being ended; try again")
    running = [record for record in read_records(folder) if record.is_running]
    if running:
        names = ", ".join(f"{record.name} (process {record.pid})" for record in running)
        raise AlreadyUpError(f"a stack is already up in {folder.root}: {names}")
    for record in read_records(folder):
        ManagedProcess(folder, record).kill()


def _owner(folder: StackFolder) -> ProcessRecord | None:
    try:
        return ProcessRecord(**json.loads(folder.owner.read_text()))
    except FileNotFoundError:
        return None
