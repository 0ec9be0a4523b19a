"""One trial in a few figures: what the report and the tests look at."""

from typing import Self

import msgspec

from faultline import checker
from faultline.checker.requests import accepted_in
from faultline.history import Batch, Proof, Recovery, Trial


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one trial."""

    scenario: str
    seed: int
    faults: list[str] = []
    evidence: list[str] = []
    """What shows that each fault was there."""
    accepted: int = 0
    handled: int = 0
    """Messages that took effect."""
    duplicates: int = 0
    """Messages that came once more and were known already."""
    consumers_s: float | None = None
    progress_s: float | None = None
    violations: list[str] = []
    is_void: bool = False
    error: str = ""
    """What kept the trial from being run to its end, empty when nothing did."""
    skipped: str = ""
    """Why this machine cannot have the fault, empty when it can."""
    duration_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether the trial was run, was valid, and broke nothing."""
        return not (self.violations or self.is_void or self.error or self.skipped)

    @classmethod
    def of(cls, scenario: str, seed: int, trial: Trial, obstacles: list[str], duration_s: float) -> Self:
        """The figures of a trial. `obstacles` are what was still under way when the time for quiet was over."""
        proofs, batches = trial.of(Proof), trial.of(Batch)
        recovery = next(iter(trial.of(Recovery)), None)
        late = [f"never quiet: {', '.join(obstacles)}"] if obstacles else []
        return cls(
            scenario=scenario,
            seed=seed,
            faults=[proof.fault for proof in proofs],
            evidence=[proof.evidence for proof in proofs],
            accepted=len(accepted_in(trial)),
            handled=sum(len(batch.calls) for batch in batches),
            duplicates=sum(len(batch.duplicates) for batch in batches),
            consumers_s=recovery.consumers_s if recovery else None,
            progress_s=recovery.progress_s if recovery else None,
            violations=[*map(str, checker.violations(trial)), *late],
            is_void=checker.is_void(trial),
            duration_s=duration_s,
        )
