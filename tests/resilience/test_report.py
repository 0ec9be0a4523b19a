"""The page about a long run says what was run, what was seen, and what went wrong."""

from faultline.report import report
from faultline.summary import Summary

GOOD = Summary(
    scenario="pause",
    seed=7,
    faults=["pause"],
    evidence=["delivery was stopped for 21.5 s"],
    accepted=100,
    handled=900,
    duplicates=12,
    consumers_s=0.5,
    progress_s=2.0,
)
BAD = Summary(
    scenario="mixed",
    seed=8,
    faults=["partition", "disk-full"],
    evidence=["9 packets were dropped", "PostgreSQL met a full disk 3 times"],
    accepted=50,
    violations=["I1 VIOLATED, 1 of 50: x ended 0 times"],
)
VOID = Summary(scenario="pause", seed=9, faults=["pause"], evidence=[""], is_void=True, accepted=10)
SKIPPED = Summary(scenario="partition", seed=1, skipped="partition: namespaces need root")


def row_of(page: str, name: str) -> list[str]:
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_sums_are_those_of_the_trials() -> None:
    page = report([GOOD, BAD, VOID, SKIPPED], "two cores", sites=2)
    assert row_of(page, "trials") == ["3"]
    assert row_of(page, "of them mixed") == ["1"]
    assert row_of(page, "faults fired") == ["3"]
    assert row_of(page, "deliveries accepted") == ["150"]
    assert row_of(page, "duplicates seen and absorbed") == ["12"]
    assert row_of(page, "trials with violations") == ["1"]
    assert row_of(page, "void, because the fault was not there") == ["1"]


def test_a_violation_is_shown_with_what_reproduces_it() -> None:
    page = report([GOOD, BAD], "two cores", sites=2)
    assert "- `mixed`, seed 8: I1 VIOLATED, 1 of 50: x ended 0 times" in page


def test_what_this_machine_cannot_do_is_said() -> None:
    assert "- `partition`, seed 1: partition: namespaces need root" in report([SKIPPED], "two cores", sites=2)


def test_each_fault_has_its_recovery_times() -> None:
    page = report([GOOD, VOID], "two cores", sites=2)
    (line,) = (line for line in page.splitlines() if line.startswith("| pause | 2 |"))
    assert "| 2.0 | 2.0 |" in line
