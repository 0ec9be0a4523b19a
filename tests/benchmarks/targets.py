"""What the suite aims at, beside what a run has measured."""

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

from measuring.markdown import table
from scenarios.hot import share_left
from scenarios.size import median_rates

Figures = dict[str, Any]

SECTION = """## What is aimed at

{table}{spent}"""
SPENT = """
Where it falls short: of the suite's CPU time at saturation {shares}.
In the services it goes into what is done for each message: reading and checking it, a handler of its own on states of
its own, counting it, an event with all attributes. The floor handles a batch as a whole. With few messages at a time
every batch costs its ways to PostgreSQL (five; eight where drones are searched), a publication with its confirm,
an acknowledgement and the waking up of all who take part, all the same. This is what latency at low rates consists of,
the floor's own too, which stands beside the suite's. At half of saturation the processors are taken nearly all the
time, and what is ready to go on waits for one of them: the last column of the latencies. The messages of a hot session
come on top of that.
"""
OF_PEERS = {"faststream_plain": 8.0, "faststream_outbox": 12.0, "floor": 0.7}
P99_MS = {"half of saturation": 50.0, "low": 25.0}
MEMORY_MIB = 200.0 * 1e6 / 2**20
HOT_RATIO = 0.9
FULL_RATIO = 0.9


class Target(NamedTuple):
    """One figure that is aimed at."""

    name: str
    aimed_at: str
    measured: str
    is_met: bool


def section(run: Figures) -> str | None:
    """The targets that the run says something about, None when there are none."""
    rows = list(_targets(run))
    if not rows:
        return None
    cells = [(one.name, one.aimed_at, f"**{one.measured}**", "yes" if one.is_met else "no") for one in rows]
    return SECTION.format(table=table(("figure", "aim", "measured", "met"), cells), spent=_spent(run))


def _targets(run: Figures) -> Iterator[Target]:
    rounds = [{figures["contender"]: figures["scheduled_per_s"] for figures in one} for one in run["rounds"]]
    for peer, least in OF_PEERS.items():
        ratios = [one["suite"] / one[peer] for one in rounds if "suite" in one and peer in one]
        if ratios:
            ratio = statistics.median(ratios)
            yield Target(f"rate, in those of {peer}", f"at least {least:g}", f"{ratio:.2f}", ratio >= least)
    scenarios = run["scenarios"]
    for load, limit_ms in P99_MS.items():
        if "latency" in scenarios and load in scenarios["latency"]["loads"]:
            p99_ms = scenarios["latency"]["loads"][load]["scheduled_ms"]["p99"]
            name = f"p99 from POST to DeliveryScheduled, load: {load}"
            yield Target(name, f"at most {limit_ms:.0f} ms", f"{p99_ms:.0f} ms", p99_ms <= limit_ms)
    if "memory" in scenarios:
        services = {name: mib for name, mib in scenarios["memory"]["after_mib"].items() if name != "postgresql"}
        largest = max(services, key=services.__getitem__)
        measured = f"{services[largest]:.0f} MiB ({largest})"
        yield Target("memory of each process after the load", "under 200 MB", measured, services[largest] < MEMORY_MIB)
    if "hot" in scenarios:
        ratio = share_left(scenarios["hot"]["loads"], scenarios["hot"]["span_s"])
        yield Target(
            "others' rate beside a hot session", f"at least {HOT_RATIO:.0%}", f"{ratio:.1%}", ratio >= HOT_RATIO
        )
    if "backlog" in scenarios:
        ratio = scenarios["backlog"]["drained_per_s"] / scenarios["backlog"]["steady"]["scheduled_per_s"]
        yield Target("a backlog drains, in steady rates", "at least 1", f"{ratio:.2f}", ratio >= 1)
    if "size" in scenarios:
        rates = median_rates(scenarios["size"])
        fewest, most = min(rates), max(rates)
        if fewest < most:
            ratio = rates[most] / rates[fewest]
            name = f"rate with {most:,} deliveries before, in that with {fewest:,}"
            yield Target(name, f"at least {FULL_RATIO:g}", f"{ratio:.2f}", ratio >= FULL_RATIO)


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
