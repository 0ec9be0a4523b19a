"""The page about a long run. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from faultline.summary import Summary

PREAMBLE = """# Trials under faults

Written by `make resilience TRIALS={trials}`; never by hand. Each trial runs seeded load against the real processes,
breaks something, mends it, waits until everything is quiet, and has its history judged by a checker that knows nothing
but that history and the final databases and queues (`tests/resilience`). A seed reproduces a trial:
`make resilience SEED=7 FAULT=pause`.

Machine: {machine}; trials at the same time: {sites}.
"""


def report(summaries: Sequence[Summary], machine: str, sites: int) -> str:
    """The whole page, as Markdown. `sites` is how many trials ran at the same time."""
    run = [one for one in summaries if not one.skipped]
    valid = [one for one in run if not one.is_void and not one.error]
    mixed = sum(one.scenario == "mixed" for one in run)
    lines = [
        PREAMBLE.format(trials=mixed, machine=machine, sites=sites),
        *_table(
            ("", ""),
            [
                ("trials", str(len(run))),
                ("of them mixed", str(mixed)),
                ("void, because the fault was not there", str(sum(one.is_void for one in run))),
                ("not run to their end", str(sum(bool(one.error) for one in run))),
                ("faults fired", str(sum(bool(evidence) for one in run for evidence in one.evidence))),
                ("deliveries accepted", str(sum(one.accepted for one in valid))),
                ("messages that took effect", str(sum(one.handled for one in valid))),
                ("duplicates seen and absorbed", str(sum(one.duplicates for one in valid))),
                ("trials with violations", str(sum(bool(one.violations) for one in run))),
            ],
        ),
        "## By fault",
        "",
        "Recovery is the time after the heal until a delivery that is asked for then has its drone.",
        "",
        *_table(
            ("fault", "trials", "void", "deliveries", "duplicates", "recovery, median s", "longest s", "violations"),
            [_row(scenario, group) for scenario, group in _by_scenario(run).items()],
        ),
    ]
    lines += _section(
        "Violations",
        ((one.scenario, one.seed, complaint) for one in run for complaint in (*one.violations, one.error) if complaint),
    )
    skipped = ((one.scenario, one.seed, one.skipped) for one in _skipped(summaries))
    lines += _section("Not possible on this machine", skipped)
    lines += [
        "## Every trial",
        "",
        *_table(
            ("fault", "seed", "deliveries", "what showed that it was there"),
            [(one.scenario, str(one.seed), str(one.accepted), "; ".join(filter(None, one.evidence))) for one in run],
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(scenario: str, group: Sequence[Summary]) -> tuple[str, ...]:
    times_s = [one.progress_s for one in group if one.progress_s is not None]
    return (
        scenario,
        str(len(group)),
        str(sum(one.is_void for one in group)),
        str(sum(one.accepted for one in group)),
        str(sum(one.duplicates for one in group)),
        _seconds(median, times_s),
        _seconds(max, times_s),
        str(sum(bool(one.violations) for one in group)),
    )


def _seconds(figure: Callable[[list[float]], float], times_s: list[float]) -> str:
    return f"{figure(times_s):.1f}" if times_s else "-"


def _skipped(summaries: Iterable[Summary]) -> list[Summary]:
    first = {one.scenario: one for one in reversed([one for one in summaries if one.skipped])}
    return list(first.values())


def _by_scenario(summaries: Iterable[Summary]) -> dict[str, list[Summary]]:
    groups: dict[str, list[Summary]] = defaultdict(list)
    for one in summaries:
        groups[one.scenario].append(one)
    return dict(sorted(groups.items()))


def _section(title: str, entries: Iterable[tuple[str, int, str]]) -> list[str]:
    lines = [f"- `{scenario}`, seed {seed}: {text}" for scenario, seed, text in entries]
    return [f"## {title}", "", *(lines or ["None."]), ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return [line(head), line(["---"] * len(head)), *map(line, rows), ""]
