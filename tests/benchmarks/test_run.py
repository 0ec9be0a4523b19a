"""The command: its options, what voids a run, and that a report is replaced as a whole."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import run
from measuring.observer import LostWork

import report
from local_stack.errors import StackError


@pytest.mark.parametrize(
    "option",
    [
        "--rounds=0",
        "--rounds=-1",
        "--rounds=two",
        "--connections=0",
        "--seconds=-5",
        "--seconds=nan",
        "--seconds=soon",
        "--drones=0",
        "--sizes=0",
        "--backlog=-1",
        "--only=nobody",
        "--output=/proc/nowhere",
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run.parse([option])
    assert ended.value.code == 2
    assert f"error: argument {option.partition('=')[0]}: " in capsys.readouterr().err


def test_a_part_of_the_measurements_does_not_replace_the_report() -> None:
    assert run.parse([]).output == run.DOCUMENTS
    assert run.parse(["--rounds", "5", "--scenarios", *run.USUAL, "size"]).output == run.DOCUMENTS
    assert run.parse(["--only", "suite", "floor"]).output == run.PARTIAL
    assert run.parse(["--scenarios", "hot"]).output == run.PARTIAL


def test_a_report_goes_where_it_is_asked_for(tmp_path: Path) -> None:
    assert run.parse(["--output", str(tmp_path / "new" / "folder")]).output == tmp_path / "new" / "folder"


@pytest.mark.parametrize(
    ("error", "told"),
    [(LostWork("3 of 4 requests"), f"{run.VOID}\n3 of 4 requests\n"), (StackError("no RabbitMQ"), "no RabbitMQ\n")],
)
def test_what_ends_the_comparison_is_said_in_a_sentence(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def fails(_contenders: list[Any], _options: argparse.Namespace) -> list[list[run.Figures]]:
        raise error

    monkeypatch.setattr(run, "compare", fails)
    monkeypatch.setattr(sys, "argv", ["run.py", "--output", str(tmp_path)])
    assert asyncio.run(run.main()) == 1
    assert capsys.readouterr().err == told
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: run.Figures = {"command": "make bench", "machine": {}, "rounds": [], "scenarios": {}, "failed": {}}
    report.write(tmp_path, figures, [])
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    write = Path.write_text

    def fills_up(path: Path, text: str) -> int:
        if path.name.endswith(".md"):
            raise OSError(28, "No space left on device")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", fills_up)
    with pytest.raises(OSError, match="No space"):
        report.write(tmp_path, figures | {"command": "make bench again"}, [])
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before
