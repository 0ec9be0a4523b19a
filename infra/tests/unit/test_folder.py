"""The data folder keeps secrets to its owner."""

import stat
from pathlib import Path

import pytest

from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_passwords_are_kept_for_the_owner_only(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    first = folder.password("rabbitmq/delivery")
    assert StackFolder(tmp_path / "stack").password("rabbitmq/delivery") == first
    assert folder.password("rabbitmq/ingestion") != first
    assert len(first) >= 32
    assert mode_of(folder.secrets) == 0o600
    assert mode_of(folder.root) == 0o700


def test_another_folder_has_other_passwords(tmp_path: Path) -> None:
    assert StackFolder(tmp_path / "a").password("x") != StackFolder(tmp_path / "b").password("x")


def test_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode_of(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_logs_of_the_run_before_are_put_aside(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    folder.log("delivery").write_text("first run")
    folder.start_logs()
    assert not folder.log("delivery").exists()
    assert (folder.root / "logs.previous" / "delivery.log").read_text() == "first run"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two\nlines", "line breaks"),
        ("two\rlines", "line breaks"),
        ("latin-1 \udcfc", "not UTF-8"),
        ("/".join(["deep"] * 200), "of 900 at most"),
    ],
)
def test_folder_that_the_servers_cannot_work_with_is_refused_in_one_line(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(StackError, match=f"{reason}.*STACK_DATA") as told:
        StackFolder(tmp_path / name).create()
    message = str(told.value)
    assert message.isprintable(), "a line break in the name makes no second line"
    assert list(tmp_path.iterdir()) == []
