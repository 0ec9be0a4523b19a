"""Tables in Markdown, and what stands in them."""

import statistics
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table, with a line break at its end."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(values: Iterable[float], form: str) -> str:
    """The median, and from the lowest to the highest, each in this format. Raises StatisticsError without a value."""
    ordered = sorted(values)
    middle = statistics.median(ordered)
    return f"**{middle:{form}}** ({ordered[0]:{form}} to {ordered[-1]:{form}})"
