"""The long run has as many valid trials as were asked for, and ends."""

from collections.abc import Callable
from pathlib import Path

import pytest
from faultline import cli, workers
from faultline.summary import Summary
from typer.testing import CliRunner

from local_stack.folder import alone_in

Answer = Callable[[str, int], Summary]


class Answers:
    """Stands in for a process that runs trials."""

    answer: Answer

    def __init__(self, _folder: Path, *, is_long: bool) -> None:
        assert is_long

    async def run(self, scenario: str, seed: int) -> Summary:
        return type(self).answer(scenario, seed)

    async def close(self) -> None:
        """Nothing is open."""


async def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Answer) -> list[tuple[str, int]]:
    monkeypatch.setattr(Answers, "answer", staticmethod(answer), raising=False)
    monkeypatch.setattr(workers, "Worker", Answers)
    trials = [("pause", 1), ("pause", 2), ("poison", 1)]
    run = workers.run_side_by_side(trials, tmp_path, sites=2, is_long=True)
    return sorted([(one.scenario, one.seed) async for one in run])


async def test_each_trial_is_run_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = await ended(monkeypatch, tmp_path, lambda scenario, seed: Summary(scenario=scenario, seed=seed))
    assert done == [("pause", 1), ("pause", 2), ("poison", 1)]


async def test_a_void_trial_is_made_up_for_by_another_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = await ended(
        monkeypatch, tmp_path, lambda scenario, seed: Summary(scenario=scenario, seed=seed, is_void=seed == 2)
    )
    assert done == [("pause", 1), ("pause", 2), ("pause", 1_002), ("poison", 1)]


async def test_one_that_is_always_void_is_not_run_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = await ended(
        monkeypatch, tmp_path, lambda scenario, seed: Summary(scenario=scenario, seed=seed, is_void=True)
    )
    assert len(done) == 6


@pytest.mark.parametrize("command", ["run", "long"])
def test_a_second_run_in_the_same_folder_is_refused_before_it_touches_anything(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("faultline.namespace.enter", lambda: None)
    folder = tmp_path / "trials"
    with alone_in(folder, "a trial"):
        outcome = CliRunner().invoke(cli.app, [command, "--folder", str(folder)])
    assert outcome.exit_code == 2
    assert "already" in outcome.output
    assert not folder.exists()
