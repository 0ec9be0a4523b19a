"""Which requests a load consists of. Pure."""

from dataclasses import dataclass
from random import Random

from demo.kinds import Kind
from demo.scenario import FEWEST_REQUESTS, PlannedRequest, plan_requests
from fleet_simulator.geography import DEFAULT_AREA

# It holds the heavy-lifters for a quarter of a minute, which is the demo's way to make others find none.
LEFT_OUT = frozenset({Kind.HEAVY})


@dataclass(frozen=True)
class LoadPlan:
    """How many requests come within which time. The same seed asks for the same."""

    seed: int
    requests: int
    duration_s: float

    def planned(self) -> list[PlannedRequest]:
        """The requests in their order."""
        everything = plan_requests(self.seed, max(self.requests, FEWEST_REQUESTS), DEFAULT_AREA)
        mixed = [request for request in everything if request.kind not in LEFT_OUT]
        Random(f"load {self.seed}").shuffle(mixed)  # noqa: S311 - nothing secret
        return mixed
