"""What scenarios make of their figures: verdicts, comparisons, the page."""

import argparse
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import run
from measuring.observer import LostWork
from scenarios import SCENARIOS, USUAL
from scenarios.backlog import BACKLOG
from scenarios.hot import ALONE, BESIDE, HOT, share_left
from scenarios.latency import LATENCY
from scenarios.profile import PROFILE, shares_of
from scenarios.scenario import Scenario, by_turns, faults_of, median_of_ratios, scheduled_per_s, suite_cpu_ms
from scenarios.size import SIZE, turns
from scenarios.tracing import faults

import report
import targets

RATES = [
    {"suite": 90.0, "faststream_plain": 10.0, "floor": 200.0},
    {"suite": 100.0, "faststream_plain": 10.0, "floor": 200.0},
    {"suite": 80.0, "faststream_plain": 10.0, "floor": 100.0},
]
TRACES = {"exports": 3, "spans": 700, "requests_begun": 100, "requests_whole": 100}


def a_load(**changes: Any) -> dict[str, Any]:
    """The figures of a load at a rate."""
    return {
        "requests": 1_000,
        "asked_per_s": 100.0,
        "scheduled_per_s": 99.0,
        "accept_p50_ms": 4.0,
        "accept_p99_ms": 9.0,
        "sent_late_p99_ms": 1.5,
        "refused": 0,
        "others_percent": 3.0,
        "scheduled_ms": {"p50": 31.0, "p95": 62.0, "p99": 93.0, "max": 124.0},
        "scheduled_ms_by_partition": [{"p99": 90.0}, {"p99": 91.0}, {}, {"p99": 93.0}],
        "scheduled_in_second_by_partition": [[25] * 10] * 4,
        "distribution_ms": [(0.0, 10.0), (0.5, 31.0), (1.0, 124.0)],
        "cpu_ms_per_delivery": {"delivery": 0.5, "postgresql": 0.25, "load": 4.0, "collector": 8.0},
        "waited_ms_per_delivery": {"delivery": 1.0, "postgresql": 2.5, "collector": 16.0},
    } | changes


def latency_figures() -> dict[str, Any]:
    """A suite and a floor that takes a tenth of the time."""
    faster = {
        "scheduled_ms": {"p50": 3.1, "p95": 6.2, "p99": 9.3, "max": 12.4},
        "distribution_ms": [(0.0, 1.0), (0.5, 3.1), (1.0, 12.4)],
    }
    loads = {"half of saturation": a_load(asked_per_s=617.0), "low": a_load()}
    floor = {
        "saturation": a_load(scheduled_per_s=4_000.0),
        "loads": {"half of saturation": a_load(asked_per_s=2_000.0, **faster), "low": a_load(**faster)},
    }
    return {"saturation": a_load(scheduled_per_s=1_234.0), "loads": loads, "floor": floor, "wrong": []}


def hot_figures(beside: list[int], hot_one: list[int] | None = None) -> dict[str, Any]:
    """A hot session in one of four partitions, beside loads that complete 25 of each in each second when alone."""
    by_partition = [beside, hot_one or beside, beside, beside]
    return {
        "loads": {
            ALONE[0]: a_load(),
            BESIDE: a_load(scheduled_in_second_by_partition=by_partition),
            ALONE[1]: a_load(),
        },
        "hot": {"published_s": 2.0, "handled_s": 5.5, "partition": 1},
        "span_s": 5,
    }


def test_the_others_rate_is_compared_while_the_hot_session_is_handled() -> None:
    loads = hot_figures([10] * 5 + [40] * 5)["loads"]
    assert share_left(loads, 5) == 0.4
    assert share_left(loads, 10) == 1


@pytest.mark.parametrize(("beside", "verdict"), [(23, "**kept**"), (22, "**not kept**"), (30, "**kept**")])
def test_the_promise_to_the_others_is_kept_from_nine_tenths_on(beside: int, verdict: str) -> None:
    assert verdict in HOT.section(hot_figures([beside] * 10))


def test_who_stands_behind_the_hot_session_is_told_apart() -> None:
    section = " ".join(HOT.section(hot_figures([25] * 10, hot_one=[5] * 10)).split())
    assert "is **80.0%** of their rate alone" in section
    assert "in the other partitions it is 100.0%" in section
    assert "until those before them are handled, 20.0%" in section


def test_the_partition_of_the_hot_session_stands_out() -> None:
    assert "90, **91**, none, 93" in HOT.section(hot_figures([25] * 10))


def test_the_processors_that_were_taken_beside_the_hot_session_are_told() -> None:
    figures = hot_figures([25] * 10)
    figures["loads"][BESIDE] |= {"scheduled_per_s": 800.0, "cpu_ms_per_delivery": {"delivery": 2.0, "load": 4.0}}
    assert "| 1.60 |" in HOT.section(figures)


def test_as_many_traces_as_are_to_begin_are_right() -> None:
    assert faults(TRACES, at_least=99.5, at_most=100) == []


@pytest.mark.parametrize(("at_least", "at_most"), [(50, 99), (101, 200)])
def test_too_many_or_too_few_traces_are_wrong(at_least: float, at_most: float) -> None:
    assert faults(TRACES, at_least=at_least, at_most=at_most)


def test_a_trace_without_its_last_step_is_wrong() -> None:
    assert faults(TRACES | {"requests_whole": 99}, at_least=90, at_most=110)


def test_no_trace_at_all_is_wrong() -> None:
    assert faults(dict.fromkeys(TRACES, 0), at_least=90, at_most=110)


def test_turns_are_reversed_from_round_to_round() -> None:
    assert by_turns((1, 2), 3) == [(1, 2), (2, 1), (1, 2)]


def test_ratios_are_of_the_same_round() -> None:
    ours = [a_load(scheduled_per_s=rate) for rate in (50, 200, 10)]
    theirs = [a_load(scheduled_per_s=rate) for rate in (100, 100, 100)]
    assert median_of_ratios(ours, theirs, scheduled_per_s) == 0.5


def test_who_only_sends_and_collects_is_not_the_suite() -> None:
    assert suite_cpu_ms(a_load()) == 0.75


def test_refusals_are_told() -> None:
    assert faults_of({"one": a_load(), "two": a_load(refused=3)}) == ["3 requests were refused: two"]


def test_what_was_scheduled_twice_is_told() -> None:
    assert faults_of({"one": a_load(twice=0), "two": a_load(twice=2)}) == [
        "2 requests were scheduled more than once: two"
    ]


def test_the_long_one_is_run_only_when_it_is_asked_for() -> None:
    assert set(SCENARIOS) - set(USUAL) == {SIZE.name, PROFILE.name}


STACKS = [
    "main (app/serve.py:1);run (asyncio/runners.py:118) 10",
    "main (app/serve.py:1);Processor._call (shared_runtime/processor.py:3);on_ready (delivery/consumers.py:9) 20",
    "main (app/serve.py:1);Processor._load (shared_runtime/processor.py:8);fetch (asyncpg/connection.py:1) 60",
    "main (app/serve.py:1);__str__ (uuid.py:2) 10",
]


def test_a_profile_tells_whose_code_ran() -> None:
    shares = shares_of(STACKS)
    assert shares["event loop and its system calls"] == 0.1
    assert shares["handlers, rules, messages"] == 0.2
    assert shares["PostgreSQL's driver"] == 0.6
    assert shares["other"] == 0.1
    assert shares["the runtime"] == 0
    assert shares["Processor._call"] == 0.2


def test_a_profile_is_told_in_milliseconds_per_delivery() -> None:
    figures = {"saturation": a_load(cpu_ms_per_delivery={"delivery": 0.5}), "shares": {"delivery": shares_of(STACKS)}}
    section = PROFILE.section(figures)
    assert "| PostgreSQL's driver | 0.300 (60%) |" in section
    assert "goes by: delivery 20%. The rest" in " ".join(section.split())


def test_the_page_has_a_section_for_what_was_run_and_nothing_else() -> None:
    scenarios = {LATENCY.name: latency_figures()}
    failed = {"hot": "TimeoutError: a | b\nand more"}
    figures = {"command": "make bench", "machine": {"commit": "abc"}, "rounds": [], "failed": failed}
    page = report.page(figures | {"scenarios": scenarios}, [])
    assert "| hot | TimeoutError: a \\| b |\n" in page
    assert "## Latency" in page
    assert "## Memory" not in page
    assert f"]({LATENCY.picture})" in page
    assert "| commit | abc |" in page
    assert "## Scheduled deliveries per second" not in page


def test_the_floors_latency_stands_beside_the_suites() -> None:
    section = LATENCY.section(latency_figures())
    assert "1,234 per second, the floor 4,000" in " ".join(section.split())
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    rest = "| 4.0 | 9.0 | 1.5 | 0.8 | 3.5 |"
    assert rows == [
        f"| half of saturation | suite | 617 | 1,000 | **31.0** | **62.0** | **93.0** | 124.0 {rest}",
        f"| half of saturation | floor | 2,000 | 1,000 | **3.1** | **6.2** | **9.3** | 12.4 {rest}",
        f"| low | suite | 100 | 1,000 | **31.0** | **62.0** | **93.0** | 124.0 {rest}",
        f"| low | floor | 100 | 1,000 | **3.1** | **6.2** | **9.3** | 12.4 {rest}",
    ]


def test_the_floors_lines_are_dashed() -> None:
    assert LATENCY.drawing is not None
    picture = ET.fromstring(LATENCY.drawing(latency_figures()))  # noqa: S314 - our own
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert ["stroke-dasharray" in line.attrib for line in lines] == [False, True, False, True]
    assert len({line.attrib["stroke"] for line in lines}) == 4


def test_targets_are_told_as_met_or_missed() -> None:
    rounds = [[{"contender": name, **a_load(scheduled_per_s=rate)} for name, rate in rates.items()] for rates in RATES]
    text = targets.section({"rounds": rounds, "scenarios": {}})
    assert text is not None
    assert "| rate, in those of faststream_plain | at least 8 | **9.00** (8.00 to 10.00) | yes |" in text
    assert "| rate, in those of floor | at least 0.7 | **0.50** (0.45 to 0.80) | no, short by 28.6% |" in text
    assert "What the time goes into" in text
    assert "faststream_outbox" not in text
    assert "p99" not in text


def test_only_the_suites_latency_is_aimed_at() -> None:
    text = targets.section({"rounds": [], "scenarios": {LATENCY.name: latency_figures()}})
    assert text is not None
    assert "load: half of saturation | at most 50 ms | **93 ms** | no, 1.86 times |" in text
    assert "load: low | at most 25 ms | **93 ms** | no, 3.72 times |" in text
    assert text.count("p99") == 2


def test_a_run_without_what_is_aimed_at_says_nothing() -> None:
    assert targets.section({"rounds": [], "scenarios": {}}) is None


def backlog_figures() -> dict[str, Any]:
    """A backlog of a thousand."""
    return {
        "steady": a_load(scheduled_per_s=100.0),
        "sent": a_load(requests=1_000, accepted_per_s=200.0),
        "outage_s": 5.0,
        "ready_s": 1.0,
        "done_s": 6.5,
        "drained_per_s": 150.0,
        "samples": [(0.0, 0), (2.0, 200), (4.0, 400), (5.0, 600), (6.0, 800), (6.5, 1_000)],
        "before_mib": {"delivery": 90.0, "rabbitmq": 150.0},
        "peak_mib": {"delivery": [100.0, 120.0], "rabbitmq": [200.0, 200.0]},
        "after_mib": {"delivery": 110.0, "rabbitmq": 200.0},
        "largest_mib": {"postgresql": 60.0, "delivery": 110.0, "rabbitmq": 200.0},
        "wrong": [],
    }


SIZES = {
    10_000: {"stored_mib": 100.0, "loads": [a_load(scheduled_per_s=800.0)]},
    1_000_000: {"stored_mib": 5_000.0, "loads": [a_load(scheduled_per_s=600.0)]},
}


def test_the_smallest_size_is_measured_before_and_after_the_others() -> None:
    assert turns([5_000, 10, 100, 10]) == [10, 100, 5_000, 10]
    assert turns([10]) == [10]


@pytest.mark.parametrize(("again", "ratio"), [([780.0], "0.75"), ([1_200.0], "0.50"), ([], "0.75")])
def test_the_better_one_of_the_smallest_size_is_what_the_others_are_compared_with(
    again: list[float], ratio: str
) -> None:
    figures = {"sizes": SIZES, "again": [a_load(scheduled_per_s=per_s) for per_s in again]}
    section = SIZE.section(figures)
    assert f"| 1,000,000 | 5,000 | **600** (600 to 600) | **0.75** (0.75 to 0.75) | 600 (3 %) | {ratio} |" in section
    assert section.count("10,000 again") == len(again)
    text = targets.section({"rounds": [], "scenarios": {SIZE.name: figures}})
    assert text is not None
    assert f"in the better one with 10,000 | at least 0.9 | **{ratio}** |" in text


def test_full_databases_are_aimed_at_too() -> None:
    text = targets.section({"rounds": [], "scenarios": {SIZE.name: {"sizes": SIZES, "again": []}}})
    assert text is not None
    assert (
        "| rate with 1,000,000 deliveries before, in the better one with 10,000 | at least 0.9 | **0.75** |"
        " no, short by 16.7% |" in text
    )
    assert "What the time goes into" not in text


def test_a_backlog_is_to_drain_fast_with_flat_memory() -> None:
    text = targets.section({"rounds": [], "scenarios": {BACKLOG.name: backlog_figures()}})
    assert text is not None
    assert "| a backlog drains, in steady rates | at least 1 | **1.50** | yes |" in text
    assert "in that of the first | at most 1.1 | **1.20** (delivery) | no, 1.09 times |" in text
    assert "the largest process, after: backlog | at most 200 MB | **210 MB** (rabbitmq) | no, 1.05 times |" in text


def test_the_drain_is_told_by_fifths() -> None:
    section = " ".join(BACKLOG.section(backlog_figures()).split())
    assert "100, 100, 200, 200, 400 per second" in section
    assert "| delivery | 90 | 100 | 120 | 110 |" in section
    assert "so 5 s stand for an outage" in section


async def test_a_scenario_that_cannot_be_measured_does_not_take_the_others_with_it() -> None:
    async def fails(_options: argparse.Namespace) -> run.Figures:
        raise ConnectionError("no broker")

    async def works(_options: argparse.Namespace) -> run.Figures:
        return {"wrong": []}

    async def loses(_options: argparse.Namespace) -> run.Figures:
        raise LostWork("3 of 4")

    def cannot_tell(_figures: run.Figures) -> str:
        raise ZeroDivisionError("no second passed")

    scenarios = [Scenario("one", fails, str), Scenario("other", works, str), Scenario("third", loses, str)]
    measured, failed = await run.play([*scenarios, Scenario("fourth", works, cannot_tell)], argparse.Namespace())
    assert measured == {"other": {"wrong": []}, "third": {"wrong": ["3 of 4"]}}
    assert failed == {"one": "ConnectionError: no broker", "fourth": "ZeroDivisionError: no second passed"}
