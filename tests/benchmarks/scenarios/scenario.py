"""What a scenario is, and what all of them begin with."""

import argparse
import statistics
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from measuring.measurement import Measurement

from peers.suite import RunningSuite, Suite

Figures = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Scenario:
    """Something that is measured of the suite, apart from its rate beside its peers."""

    name: str
    measure: Callable[[argparse.Namespace], Awaitable[Figures]]
    """Its figures. What stands under `wrong`, a list of sentences, voids the run."""
    section: Callable[[Figures], str]
    """The figures as a section of the report."""
    drawing: Callable[[Figures], str] | None = None
    """The figures as an SVG picture, `benchmarks-<name>.svg` beside the report."""

    @property
    def picture(self) -> str:
        """The name of the picture's file."""
        return picture_of(self.name)


def picture_of(name: str) -> str:
    """The name of a picture's file."""
    return f"benchmarks-{name}.svg"


@contextmanager
def suite_at_work(
    options: argparse.Namespace,
    *,
    drones: int = 0,
    is_traced: bool = True,
    replicas: int = 1,
    counts_rows: bool = False,
) -> Iterator[tuple[RunningSuite, Measurement]]:
    """The suite with at least so many drones, and what measures it.

    `counts_rows` says whether ingestion's rows tell how many are scheduled, as with a peer, instead of its figures.
    """
    drones = max(drones, options.drones)
    with Suite().running(drones, is_traced=is_traced, replicas=replicas) as running:
        scheduled = None if counts_rows else running.scheduled
        yield running, Measurement(running, options.connections, drones, running.ports, scheduled)


def faults_of(figures_by_name: Mapping[str, Figures]) -> list[str]:
    """A sentence for each measurement in which requests were refused, or scheduled twice."""
    refused = [
        f"{figures['refused']} requests were refused: {name}"
        for name, figures in figures_by_name.items()
        if figures["refused"]
    ]
    twice = [
        f"{figures['twice']} requests were scheduled more than once: {name}"
        for name, figures in figures_by_name.items()
        if figures.get("twice")
    ]
    return refused + twice


def by_turns(choices: Sequence[T], rounds: int) -> list[Sequence[T]]:
    """The order of the choices in each round: forwards, backwards, forwards, and so on.

    So neither is always the first, and what changes steadily on the machine weighs the same for both.
    """
    return [choices if number % 2 == 0 else choices[::-1] for number in range(rounds)]


def scheduled_per_s(figures: Figures) -> float:
    """The rate of a measurement."""
    return float(figures["scheduled_per_s"])


def suite_cpu_ms(figures: Figures) -> float:
    """CPU milliseconds per delivery of the suite and its servers: without those who only send and collect."""
    return _of_the_suite(figures["cpu_ms_per_delivery"])


def suite_waited_ms(figures: Figures) -> float:
    """Milliseconds per delivery that they were ready to run and had no processor."""
    return _of_the_suite(figures["waited_ms_per_delivery"])


def _of_the_suite(by_part: Mapping[str, float]) -> float:
    return float(sum(ms for name, ms in by_part.items() if name not in {"load", "collector"}))


def median_of_ratios(ours: Sequence[Figures], theirs: Sequence[Figures], what: Callable[[Figures], float]) -> float:
    """What one is of the other in the same round, in the middle of all rounds."""
    return statistics.median(what(one) / what(other) for one, other in zip(ours, theirs, strict=True))
