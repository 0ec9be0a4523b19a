"""What dies is started again: at once, then ever later, and an obstacle is told instead of ending the watch."""

import pytest

from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.part import Part
from local_stack.supervisor import LONGEST_DELAY_S, STABLE_AFTER_S, Supervisor, read_restarts


class Mortal(Part):
    """A part that lives and dies as the test says."""

    def __init__(self, folder: StackFolder, name: str = "delivery") -> None:
        super().__init__(folder, name, port=1)
        self.lives = True
        self.can_live = True
        self.starts = 0

    def launch(self) -> None:
        self.starts += 1
        if not self.can_live:
            raise StackError("port 1 is taken")
        self.lives = True

    def obstacle(self) -> str | None:
        return None

    @property
    def is_running(self) -> bool:
        return self.lives


class Watch:
    """A supervisor with a clock that the test sets."""

    def __init__(self, folder: StackFolder, *parts: Part) -> None:
        self.now_s = 1_000.0
        self.supervisor = Supervisor(folder, parts, clock=lambda: self.now_s)

    def look_after(self, time_s: float) -> None:
        self.now_s += time_s
        self.supervisor.look()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> StackFolder:
    folder = StackFolder(tmp_path_factory.mktemp("stack"))
    folder.create()
    return folder


def test_living_part_is_left_alone(folder: StackFolder) -> None:
    part = Mortal(folder)
    Watch(folder, part).look_after(100.0)
    assert part.starts == 0
    assert read_restarts(folder) == {}


def test_dead_part_is_started_at_once_counted_and_told(folder: StackFolder, capsys: pytest.CaptureFixture[str]) -> None:
    part, other = Mortal(folder), Mortal(folder, "ingestion")
    watch = Watch(folder, part, other)
    part.lives = False
    watch.look_after(0.0)
    assert part.lives
    assert other.starts == 0
    assert read_restarts(folder) == {"delivery": 1}
    [line] = capsys.readouterr().out.splitlines()
    assert "delivery ended and was started again (restart 1)" in line


def test_part_that_keeps_dying_is_started_ever_later(folder: StackFolder) -> None:
    part = Mortal(folder)
    watch = Watch(folder, part)
    pauses_s = []
    for restarts in range(1, 10):
        began_at = watch.now_s
        part.lives = False
        while part.starts < restarts:
            watch.look_after(0.5)
        pauses_s.append(watch.now_s - began_at)
    assert pauses_s == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_DELAY_S, LONGEST_DELAY_S]


def test_part_that_lived_long_is_started_at_once_again(folder: StackFolder) -> None:
    part = Mortal(folder)
    watch = Watch(folder, part)
    for _ in range(3):
        part.lives = False
        watch.look_after(STABLE_AFTER_S)
    watch.look_after(STABLE_AFTER_S + 1)
    part.lives = False
    watch.look_after(0.5)
    assert part.lives


def test_part_that_cannot_be_started_is_told_and_tried_again(
    folder: StackFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    part, other = Mortal(folder), Mortal(folder, "ingestion")
    watch = Watch(folder, part, other)
    part.lives = part.can_live = other.lives = False
    watch.look_after(0.0)
    assert "delivery ended and cannot be started: port 1 is taken" in capsys.readouterr().out
    assert other.lives, "the others are looked after all the same"
    part.can_live = True
    watch.look_after(1.0)
    assert part.lives


def test_another_start_of_the_stack_counts_anew(folder: StackFolder) -> None:
    part = Mortal(folder)
    watch = Watch(folder, part)
    part.lives = False
    watch.look_after(0.0)
    Watch(folder, part)
    assert read_restarts(folder) == {}
