"""What the checker says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from faultline.history import Trial

SHOWN = 5


@dataclass(frozen=True)
class Verdict:
    """Whether one invariant holds."""

    number: str
    sentence: str
    checked: int
    """How many things were looked at."""
    offenders: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.offenders

    def __str__(self) -> str:
        if self.holds:
            return f"{self.number} holds ({self.checked} looked at)"
        more = len(self.offenders) - SHOWN
        shown = "; ".join(self.offenders[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.number} VIOLATED, {len(self.offenders)} of {self.checked}: {shown}"


@dataclass(frozen=True)
class Invariant:
    """A rule, and the function that looks for what breaks it; the function's docstring is the rule."""

    number: str
    check: Callable[[Trial], tuple[int, Iterable[str]]]

    def judge(self, trial: Trial) -> Verdict:
        """Look at the trial."""
        checked, offenders = self.check(trial)
        return Verdict(self.number, (self.check.__doc__ or "").strip().split("\n\n")[0], checked, tuple(offenders))
