"""The checker: what has to be true of a trial. Pure functions over its history and dumps."""

from faultline.checker.drones import compensated_once, held_alone, nothing_reserved
from faultline.checker.effects import flown_once, told_once
from faultline.checker.handlers import in_order, never_overlap, once_per_message
from faultline.checker.remains import fired, goes_on, nothing_left, only_poison_is_dead, repaired
from faultline.checker.requests import ends_once, one_per_key, sums_up
from faultline.checker.verdict import Invariant, Verdict
from faultline.history import Trial

__all__ = ["INVARIANTS", "VALIDITY", "Invariant", "Verdict", "is_void", "judge", "violations"]

INVARIANTS = (
    Invariant("I1", ends_once),
    Invariant("I2", held_alone),
    Invariant("I3", sums_up),
    Invariant("I3 (nothing left)", nothing_left),
    Invariant("I4 (no overlap)", never_overlap),
    Invariant("I4 (order)", in_order),
    Invariant("I5 (messages)", once_per_message),
    Invariant("I5 (keys)", one_per_key),
    Invariant("I5 (flights)", flown_once),
    Invariant("I5 (notifications)", told_once),
    Invariant("I6", compensated_once),
    Invariant("I6 (nothing reserved)", nothing_reserved),
    Invariant("I7", repaired),
    Invariant("I7 (only poison is dead)", only_poison_is_dead),
    Invariant("I8", goes_on),
)
VALIDITY = Invariant("I9", fired)


def judge(trial: Trial) -> list[Verdict]:
    """The verdict on each invariant."""
    return [invariant.judge(trial) for invariant in (*INVARIANTS, VALIDITY)]


def is_void(trial: Trial) -> bool:
    """Whether a fault was not there, so that the trial proves nothing."""
    return not VALIDITY.judge(trial).holds


def violations(trial: Trial) -> list[Verdict]:
    """The invariants that do not hold."""
    verdicts = [invariant.judge(trial) for invariant in INVARIANTS]
    return [verdict for verdict in verdicts if not verdict.holds]
