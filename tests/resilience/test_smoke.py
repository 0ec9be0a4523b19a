"""A short trial of every fault, on one stack, and the proof that the checker would notice.

Without root there are no namespaces: what needs one is skipped and says so.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from faultline.faults import FAULTS
from faultline.runner import CONTROL
from faultline.summary import Summary

SEED = int(os.environ.get("RESILIENCE_SEED", "2"))
STOP_TIMEOUT_S = 60
SCENARIOS = (
    "kill-services",
    "kill-servers",
    "kill-together",
    "commit-points",
    "take-over",
    "rolling-restart",
    "pause",
    "network-delay+network-reset+lost-commit-reply",
    "network-half-close",
    "partition",
    "connection-churn",
    "duplicates",
    "poison",
    "broken-handler",
    "deleted-queue",
    "clock-skew",
    "disk-full+memory-alarm",
)

KILLS = {"kill-services", "kill-servers"}
"""Part of `make test`; the others take ten minutes, in `make resilience`."""
FOUND = {
    "take-over": 2,
    "clock-skew": 3,
    "network-half-close": 2,
}
"""Trials that once broke something, by their seeds."""

Trials = Callable[[str, int], Summary]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Runs trials in a process of its own, in namespaces of its own, one after the other on the same stack."""
    folder = tmp_path_factory.mktemp("resilience")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with (folder / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "faultline", "serve", "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        def run(scenario: str, seed: int) -> Summary:
            question = msgspec.json.encode(Summary(scenario=scenario, seed=seed)).decode()
            process.stdin.write(question + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, (folder / "stderr.log").read_text()
            return msgspec.json.decode(answer, type=Summary)

        try:
            yield run
        finally:
            process.stdin.close()
            process.wait(STOP_TIMEOUT_S)
            process.stdout.close()


def test_every_fault_has_its_trial() -> None:
    assert {fault for scenario in SCENARIOS for fault in scenario.split("+")} == set(FAULTS)


@pytest.mark.parametrize(
    "scenario", [one if one in KILLS else pytest.param(one, marks=pytest.mark.every_fault) for one in SCENARIOS]
)
def test_every_invariant_holds_under(scenario: str, trials: Trials) -> None:
    summary = trials(scenario, FOUND.get(scenario, SEED))
    if summary.skipped:
        pytest.skip(summary.skipped)
    assert not summary.error, summary.error
    assert not summary.violations, "\n".join(summary.violations)
    # The trial counts only if the faults were there, and hit something.
    assert not summary.is_void, summary.evidence
    assert summary.accepted >= 30
    assert summary.handled >= 10 * summary.accepted // 2


@pytest.mark.every_fault
def test_a_suite_without_outbox_is_found_out(trials: Trials) -> None:
    summary = trials(CONTROL, SEED)
    assert not summary.error, summary.error
    assert not summary.is_void, summary.evidence
    # Not only that the history lacks what was recorded: deliveries did not end.
    assert any(violation.startswith("I3 VIOLATED") for violation in summary.violations), summary.violations
