"""What the suite aims at, beside what a run has measured."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from measuring.markdown import table
from scenarios.backlog import growth
from scenarios.hot import LEAST_SHARE, share_left
from scenarios.size import ratios

Figures = dict[str, Any]

SECTION = """## What is aimed at

{table}{spent}"""
SPENT = """
What the time goes into: of the suite's CPU time at saturation {shares}.
In the services it goes into what is done for each message: reading and checking it, a handler of its own on states of
its own, counting it, an event with all attributes. The floor handles a batch as a whole. With few messages at a time
every batch costs its ways to PostgreSQL (five; eight where drones are searched), a publication with its confirm,
an acknowledgement and the waking up of all who take part, all the same. This is what latency at low rates consists of,
the floor's own too, which stands beside the suite's. At half of saturation the processors are taken nearly all the
time, and what is ready to go on waits for one of them: the last column of the latencies.
"""
OF_PEERS = {"faststream_plain": 8.0, "faststream_outbox": 12.0, "floor": 0.7}
P99_MS = {"half of saturation": 50.0, "low": 25.0}
MEMORY_MB = 200.0
FULL_RATIO = 0.9
MET = "yes"
MOST_GROWTH = 1.1
"""How much more a process may take in the second half of a backlog than in the first."""


class Target(NamedTuple):
    """One figure that is aimed at."""

    name: str
    aimed_at: str
    measured: str
    verdict: str
    """Whether it is met, and what it falls short by."""

    @property
    def is_met(self) -> bool:
        """Whether it is."""
        return self.verdict == MET


def at_least(name: str, aim: float, found: float, *, form: str = ".2f", note: str = "") -> Target:
    """A figure that is to be large."""
    aimed_at = f"{aim:.0%}" if form.endswith("%") else f"{aim:g}"
    verdict = MET if found >= aim else f"no, short by {1 - found / aim:.1%}"
    return Target(name, f"at least {aimed_at}", f"**{found:{form}}**{note}", verdict)


def at_most(name: str, aim: float, found: float, *, form: str = ".0f", unit: str = "", note: str = "") -> Target:
    """A figure that is to be small."""
    verdict = MET if found <= aim else f"no, {found / aim:.3g} times"
    return Target(name, f"at most {aim:g}{unit}", f"**{found:{form}}{unit}**{note}", verdict)


def section(run: Figures) -> str | None:
    """The targets that the run says something about, None when there are none."""
    rows = list(_targets(run))
    if not rows:
        return None
    spent = "" if all(one.is_met for one in rows) else _spent(run)
    return SECTION.format(table=table(("figure", "aim", "measured", "met"), rows), spent=spent)


def _targets(run: Figures) -> Iterator[Target]:
    yield from _of_peers(run["rounds"])
    scenarios = run["scenarios"]
    if "latency" in scenarios:
        for load, limit_ms in P99_MS.items():
            p99_ms = scenarios["latency"]["loads"][load]["scheduled_ms"]["p99"]
            yield at_most(f"p99 from POST to DeliveryScheduled, load: {load}", limit_ms, p99_ms, unit=" ms")
    # The longest run there is.
    for name in ("backlog", "memory"):
        if name in scenarios:
            largest = scenarios[name]["largest_mib"]
            process = max(largest, key=largest.__getitem__)
            found_mb = largest[process] * 2**20 / 1e6
            yield at_most(f"the largest process, after: {name}", MEMORY_MB, found_mb, unit=" MB", note=f" ({process})")
    if "hot" in scenarios:
        ratio = share_left(scenarios["hot"]["loads"], scenarios["hot"]["span_s"])
        yield at_least("others' rate beside a hot session", LEAST_SHARE, ratio, form=".1%")
    if "backlog" in scenarios:
        ratio = scenarios["backlog"]["drained_per_s"] / scenarios["backlog"]["steady"]["scheduled_per_s"]
        yield at_least("a backlog drains, in steady rates", 1, ratio)
        grown, process = growth(scenarios["backlog"])
        name = "memory in the second half of a backlog, in that of the first"
        yield at_most(name, MOST_GROWTH, grown, form=".2f", note=f" ({process})")
    if "size" in scenarios:
        by_size = ratios(scenarios["size"])
        fewest, *more = sorted(by_size)
        for many in more:
            name = f"rate with {many:,} deliveries before, in the better one with {fewest:,}"
            yield at_least(name, FULL_RATIO, by_size[many])


def _of_peers(rounds: Sequence[Sequence[Figures]]) -> Iterator[Target]:
    rates = [{figures["contender"]: figures["scheduled_per_s"] for figures in one} for one in rounds]
    for peer, least in OF_PEERS.items():
        ratios = [one["suite"] / one[peer] for one in rates if "suite" in one and peer in one]
        if ratios:
            spread = f" ({min(ratios):.2f} to {max(ratios):.2f})"
            yield at_least(f"rate, in those of {peer}", least, statistics.median(ratios), note=spread)


def _spent(run: Figures) -> str:
    rounds = [one["cpu_ms_per_delivery"] for rounds in run["rounds"] for one in rounds if one["contender"] == "suite"]
    rounds += [one["saturation"]["cpu_ms_per_delivery"] for one in run["scenarios"].values() if "saturation" in one]
    if not rounds:
        return ""
    parts = {name for one in rounds for name in one} - {"load", "collector"}
    median = {name: statistics.median(one.get(name, 0.0) for one in rounds) for name in parts}
    whole = sum(median.values())
    shares = sorted(((ms / whole, name) for name, ms in median.items()), reverse=True)
    told = ", ".join(f"{share:.0%} is {name}" for share, name in shares if share >= 0.02)
    return SPENT.format(shares=told)
