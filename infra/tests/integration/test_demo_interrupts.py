"""Whoever ends the demo early, at whatever moment, gets one line, and nothing of it is left."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_stack.folder import StackFolder
from local_stack.process_table import process_start
from local_stack.records import ProcessRecord, read_records

DEADLINE_S = 60.0
# By the parts on record: before any, while the servers start, while the services do.
MOMENTS = ((), ("guardian",), ("postgresql", "rabbitmq"), ("ingestion", "delivery"))


def records_with(folder: Path, names: tuple[str, ...], demo: subprocess.Popen[str]) -> list[ProcessRecord]:
    """What is on record when all these are."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        records = read_records(StackFolder(folder))
        if set(names) <= {record.name for record in records}:
            return records
        assert demo.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, f"{names} were not started"
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("names", MOMENTS)
def test_demo_that_is_interrupted_says_so_in_one_line_and_leaves_nothing(
    tmp_path: Path, names: tuple[str, ...], how: signal.Signals
) -> None:
    folder = tmp_path / "stack"
    command = [sys.executable, "-m", "demo", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        records = records_with(folder, names, demo)
        demo.send_signal(how)
        output, _ = demo.communicate(timeout=DEADLINE_S)
    assert [process_start(record.pid) for record in records] == [None] * len(records)
    assert read_records(StackFolder(folder)) == []
    if names:
        assert demo.returncode == 130
        began, ended = output.splitlines()
        assert began.startswith("Starting")
        assert ended == f"Stopped; the logs are in {folder / 'logs'}."
    else:
        # A shell tells a death by SIGINT as 130.
        assert demo.returncode == -how
        assert output == ""
