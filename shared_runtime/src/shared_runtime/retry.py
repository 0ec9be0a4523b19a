"""When a failed message is tried again: the one place that decides between a later attempt and the dead letters."""

import random
from datetime import datetime, timedelta

from shared_runtime.errors import PermanentError, TransientError, is_conflict

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 60.0
TRANSIENT_PATIENCE = timedelta(minutes=15)
"""How long a transient failure may last before the message is dead-lettered."""
MAX_ATTEMPTS_AT_THE_UNEXPECTED = 3
"""How often a handler may raise what is neither transient nor permanent."""


class Follows(TransientError):
    """The message is held only because an earlier one of its session is."""


def is_transient(error: BaseException) -> bool:
    """Whether the failure may pass by itself: a partner out of reach, or two transactions in each other's way."""
    return isinstance(error, TransientError | OSError) or is_conflict(error)


def pause_before_next_attempt_s(
    error: BaseException, *, attempts: int, first_failed_at: datetime, now: datetime
) -> float | None:
    """How long the message waits for its next attempt, None when it is to be dead-lettered.

    Pauses double from 0.2 s to a minute, each shortened by up to a half at random, so that what failed together does
    not come back together.
    """
    if isinstance(error, PermanentError):
        return None
    if isinstance(error, Follows):
        return 0.0
    if is_transient(error):
        if now - first_failed_at >= TRANSIENT_PATIENCE:
            return None
    elif attempts >= MAX_ATTEMPTS_AT_THE_UNEXPECTED:
        return None
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 30))
    return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
