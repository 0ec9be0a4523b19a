"""What a seed stands for: which faults, in which order, at which moments, under how much load. Pure."""

from dataclasses import dataclass, field
from random import Random

from faultline.load_plan import LoadPlan

MIXED = "mixed"
LONG_S, LONG_REQUESTS = 30.0, 200
SMOKE_S, SMOKE_REQUESTS = 6.0, 60


@dataclass(frozen=True)
class TrialPlan:
    """One trial. The same for the same seed and scenario."""

    seed: int
    scenario: str
    """`mixed`, or the faults of the trial, joined by `+`."""
    faults: tuple[str, ...]
    """In the order in which they begin, each after the heal of the one before."""
    load: LoadPlan
    begin_s: float
    """How long the load runs undisturbed."""
    pauses_s: tuple[float, ...] = field(default=())
    """Before each fault after the first."""

    @property
    def name(self) -> str:
        return f"{self.scenario}-{self.seed}"

    def random_for(self, fault: str) -> Random:
        """What the fault draws its victims and moments from."""
        return Random(f"{fault} {self.seed}")  # noqa: S311 - nothing secret


def plan_trial(seed: int, scenario: str, *, known: tuple[str, ...], alone: frozenset[str], is_long: bool) -> TrialPlan:
    """The trial of a seed. `known` are the faults that this machine can have, `alone` those that mix with no other."""
    random = Random(f"trial {scenario} {seed}")  # noqa: S311 - nothing secret
    if scenario == MIXED:
        candidates = [fault for fault in known if fault not in alone]
        faults = tuple(random.sample(candidates, min(len(candidates), random.choice((2, 2, 3)))))
    else:
        faults = tuple(scenario.split("+"))
    load = LoadPlan(seed, LONG_REQUESTS, LONG_S) if is_long else LoadPlan(seed, SMOKE_REQUESTS, SMOKE_S)
    return TrialPlan(
        seed,
        scenario,
        faults,
        load,
        begin_s=load.duration_s * random.uniform(0.1, 0.4),
        pauses_s=tuple(random.uniform(0.0, 3.0) for _ in faults[1:]),
    )
