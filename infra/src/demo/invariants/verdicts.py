"""Invariants and verdicts on them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from demo.evidence import Evidence

OFFENDERS_SHOWN = 5


@dataclass(frozen=True)
class Verdict:
    """Whether an invariant holds."""

    name: str
    sentence: str
    checked: int
    """How many things were looked at."""
    offenders: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.offenders

    @property
    def details(self) -> str:
        """A few of the offenders, empty when there are none."""
        more = len(self.offenders) - OFFENDERS_SHOWN
        return "; ".join(self.offenders[:OFFENDERS_SHOWN]) + (f"; and {more} more" if more > 0 else "")

    def __str__(self) -> str:
        if self.holds:
            return f"ok: {self.name} ({self.checked})"
        return f"FAILED: {self.name} ({len(self.offenders)} of {self.checked}): {self.details}"


@dataclass(frozen=True)
class Invariant:
    """Something that has to be true when all requests have ended."""

    name: str
    check: Callable[[Evidence], tuple[int, Iterable[str]]]
    """Returns how many things it looked at, and a line for each that offends. Its docstring is the rule."""

    @property
    def sentence(self) -> str:
        """The rule, for people."""
        return (self.check.__doc__ or "").strip()

    def judge(self, evidence: Evidence) -> Verdict:
        """Look at the evidence."""
        checked, offenders = self.check(evidence)
        return Verdict(self.name, self.sentence, checked, tuple(offenders))
