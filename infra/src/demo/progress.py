"""Where a run stands, for whoever shows it and for tests that break something in the middle of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from demo.case import Case
from shared_contracts.domain_types import DeliveryStage

POLL_S = 0.1


@dataclass
class Progress:
    """Changes while the run goes on; read it at any time."""

    cases: list[Case] = field(default_factory=list)
    phase: str = ""
    phase_times_s: dict[str, float] = field(default_factory=dict)
    """How long each phase took, in their order, the current one left out."""
    drones: int = 0
    drones_under_way: int = 0
    reports_sent: int = 0
    outages: int = 0
    """Times that something did not answer and was tried again."""

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Name the phase and take its time."""
        begin = time.monotonic()
        self.phase = phase
        try:
            yield
        finally:
            self.phase_times_s[phase] = time.monotonic() - begin
            self.phase = ""

    @property
    def accepted(self) -> int:
        """Requests answered 202."""
        return sum(case.delivery_id is not None for case in self.cases)

    @property
    def refused(self) -> int:
        """Requests refused at once."""
        return sum(case.refusal is not None for case in self.cases)

    @property
    def ended(self) -> int:
        """Requests that came to an end, those refused at once included."""
        return sum(case.is_over for case in self.cases)

    @property
    def stages(self) -> Counter[DeliveryStage]:
        """Accepted requests by what was told of them last."""
        return stages_of(self.cases)

    async def reached(self, holds: Callable[["Progress"], bool], *, timeout_s: float) -> None:
        """Wait until something is true of the run. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not holds(self):
                await asyncio.sleep(POLL_S)


def stages_of(cases: Iterable[Case]) -> Counter[DeliveryStage]:
    """Accepted requests by what was told of them last; one that nothing was told of yet is pending."""
    return Counter(case.status.stage if case.status else DeliveryStage.PENDING for case in cases if case.delivery_id)
