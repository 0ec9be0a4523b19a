"""Processes are started on record, ended with all they started, and never mistaken for others."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from local_stack import ownership
from local_stack.errors import AlreadyUpError, ProcessDiedError
from local_stack.folder import StackFolder
from local_stack.guardian import end_everything, start_guardian
from local_stack.process_table import family_of, is_paused, process_start
from local_stack.processes import ManagedProcess, spawn
from local_stack.records import ProcessRecord, read_record, read_records, write_record
from local_stack.servers import LocalServers
from local_stack.stack import LocalStack

DEADLINE_S = 10.0
WITH_CHILD = ("sh", "-c", "sleep 1000 & echo started; wait")
STUBBORN = ("sh", "-c", "trap '' TERM; echo started; while :; do sleep 1; done")
OWNER = """
import os, sys, time
from pathlib import Path
from local_stack.folder import StackFolder
from local_stack.ownership import claim
from local_stack.processes import spawn
folder = StackFolder(Path(sys.argv[1]))
claim(folder)
spawn(folder, "worker", ["sh", "-c", "sleep 1000 & wait"], environment=os.environ)
paused = spawn(folder, "paused", ["sleep", "1000"], environment=os.environ)
paused.pause()
print("up", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    return folder


def start(folder: StackFolder, *command: str) -> ManagedProcess:
    process = spawn(folder, "worker", command, environment=os.environ)
    wait_for(lambda: "started" in process.log.read_text())
    return process


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def kill_owner(folder: StackFolder) -> list[int]:
    """Have a process start others and die. Returns what it left."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder.root)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "up\n"
            # The guardian, the worker with its child, which it may yet have to start, and the paused one.
            wait_for(lambda: len(families(folder)) == 4)
            return families(folder)
        finally:
            owner.kill()


def families(folder: StackFolder) -> list[int]:
    return [pid for record in read_records(folder) for pid in family_of(record.pid)]


def test_process_is_on_record_in_a_session_of_its_own(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    try:
        assert read_record(folder, "worker") == process.record
        assert os.getsid(process.record.pid) == process.record.pid
    finally:
        process.kill()


def test_kill_ends_the_children_too_and_forgets_the_record(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    family = family_of(process.record.pid)
    assert len(family) == 2
    process.kill()
    assert [process_start(pid) for pid in family] == [None, None]
    assert read_records(folder) == []


def test_stop_says_whether_the_process_ended_by_itself(folder: StackFolder) -> None:
    assert start(folder, *WITH_CHILD).stop(timeout_s=DEADLINE_S)


def test_process_that_ignores_the_request_is_killed_after_the_time_limit(folder: StackFolder) -> None:
    process = start(folder, *STUBBORN)
    assert not process.stop(timeout_s=0.2)
    assert not process.is_running


def test_paused_process_can_be_stopped(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    process.pause()
    wait_for(lambda: all(is_paused(pid) for pid in family_of(process.record.pid)))
    assert process.stop(timeout_s=DEADLINE_S)


def test_paused_process_goes_on_when_resumed(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    process.pause()
    wait_for(lambda: process.record.is_paused)
    process.resume()
    wait_for(lambda: not process.record.is_paused)
    process.kill()


def test_end_of_a_process_is_told_with_its_log(folder: StackFolder) -> None:
    process = start(folder, "sh", "-c", "echo started; echo no such table >&2; exit 3")
    wait_for(lambda: not process.is_running)
    with pytest.raises(ProcessDiedError, match=r"(?s)worker ended \(exit status 3\).*no such table"):
        process.require_running()
    process.kill()


def test_recycled_process_id_is_left_alone(folder: StackFolder) -> None:
    with subprocess.Popen(["sleep", "1000"]) as somebody:
        write_record(folder, ProcessRecord("worker", somebody.pid, start="this-boot/earlier"))
        end_everything(folder)
        assert somebody.poll() is None
        assert read_records(folder) == []
        somebody.kill()


def test_record_removed_while_records_are_read_is_left_out(folder: StackFolder) -> None:
    somebody = start(folder, *WITH_CHILD)
    try:
        # Listed, and no longer there when it is looked at: what a process that ends meanwhile leaves.
        (folder.records / "ended.json").symlink_to(folder.records / "removed")
        assert read_records(folder) == [somebody.record]
    finally:
        somebody.kill()


def test_record_from_before_a_restart_of_the_machine_is_forgotten(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    process.kill()
    write_record(folder, replace(process.record, pid=1, start="another-boot/1"))
    servers = LocalServers(folder.root)
    servers.claim()
    try:
        assert [record.name for record in read_records(folder)] == ["guardian"]
    finally:
        servers.stop()


def test_folder_in_use_is_refused(folder: StackFolder) -> None:
    process = start(folder, *WITH_CHILD)
    with pytest.raises(AlreadyUpError, match=f"worker \\(process {process.record.pid}\\)"):
        LocalServers(folder.root).claim()
    assert process.is_running
    process.kill()


def test_folder_of_a_living_owner_is_refused_before_anything_runs_in_it(folder: StackFolder) -> None:
    first = LocalServers(folder.root)
    first.claim()
    with pytest.raises(AlreadyUpError, match=f"in the hands of process {os.getpid()}"):
        LocalServers(folder.root).claim()
    first.stop()
    assert read_records(folder) == []


@pytest.mark.parametrize("kind", [LocalServers, LocalStack])
def test_start_that_is_interrupted_when_the_guardian_is_there_leaves_nothing(
    folder: StackFolder, monkeypatch: pytest.MonkeyPatch, kind: Callable[[Path], LocalServers | LocalStack]
) -> None:
    guardians: list[ManagedProcess] = []

    def interrupted(folder: StackFolder) -> ManagedProcess:
        guardians.append(start_guardian(folder))
        raise KeyboardInterrupt

    monkeypatch.setattr(ownership, "start_guardian", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kind(folder.root).start()
    assert [process_start(guardian.record.pid) for guardian in guardians] == [None]
    assert read_records(folder) == []
    assert not folder.owner.exists()
    for guardian in guardians:
        guardian.collect()


def test_start_where_another_stack_runs_leaves_that_one_alone(folder: StackFolder) -> None:
    first = LocalServers(folder.root)
    first.claim()
    try:
        for kind in (LocalServers, LocalStack):
            with pytest.raises(AlreadyUpError):
                kind(folder.root).start()
        assert [record.is_running for record in read_records(folder)] == [True]
    finally:
        first.detach()


def test_folder_of_a_killed_owner_can_be_claimed_at_once(folder: StackFolder) -> None:
    left = kill_owner(folder)
    successor = LocalServers(folder.root)
    successor.claim()
    assert all(process_start(pid) is None for pid in left)
    successor.stop()


def test_guardian_ends_what_a_killed_owner_left(folder: StackFolder) -> None:
    left = kill_owner(folder)
    wait_for(lambda: all(process_start(pid) is None for pid in left))


def test_guardian_spares_the_processes_while_the_owner_lives(folder: StackFolder) -> None:
    guardian = start_guardian(folder)
    process = start(folder, *WITH_CHILD)
    assert guardian.wait(timeout_s=0.5) is None, "it watches"
    assert process.is_running
    process.kill()
    guardian.kill()
