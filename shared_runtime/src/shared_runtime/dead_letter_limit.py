"""How fast one subscription of a process may dead-letter messages.

One bad deployment must not empty a day of work into the dead letters. Past the limit the subscription pauses: it takes
nothing more until the limit allows another dead letter, and says so.
"""

import time
from collections.abc import Callable

import structlog

from shared_runtime.errors import SubscriptionPaused
from shared_runtime.metrics import PAUSED

log = structlog.get_logger(__name__)


class DeadLetterLimit:
    """A bucket that holds the dead letters of one minute, and fills as fast."""

    def __init__(self, subscription: str, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._subscription = subscription
        self._per_minute = per_minute
        self._clock = clock
        self._left = float(per_minute)
        self._filled_at = clock()
        self._is_paused = False
        self._why_paused = f"paused: more than {per_minute} dead letters per minute"
        PAUSED.labels(subscription).set_function(lambda: self.trouble is not None)

    @property
    def trouble(self) -> str | None:
        """Why the subscription takes nothing at the moment."""
        self._fill()
        return self._why_paused if self._is_paused else None

    def require(self, dead_letters: int) -> None:
        """Raises SubscriptionPaused when there may not be so many more now."""
        left = self._fill()
        if dead_letters == 0 or dead_letters <= left:
            return
        if dead_letters == 1:
            self._pause(True)
            raise SubscriptionPaused(self._why_paused)
        # Some of them may be allowed: the batch is divided until it shows which.
        raise SubscriptionPaused(f"{dead_letters} dead letters at once are over the limit")

    def take(self, dead_letters: int) -> None:
        """So many more were committed."""
        self._left = self._fill() - dead_letters

    def _fill(self) -> float:
        now = self._clock()
        self._left = min(self._per_minute, self._left + (now - self._filled_at) * self._per_minute / 60)
        self._filled_at = now
        if self._left >= 1:
            # What was stopped may succeed at last, or elsewhere: no other dead letter need come to say so.
            self._pause(False)
        return self._left

    def _pause(self, is_paused: bool) -> None:
        if is_paused and not self._is_paused:
            log.error("subscription_paused", subscription=self._subscription, dead_letters_per_minute=self._per_minute)
        elif self._is_paused and not is_paused:
            log.info("subscription_goes_on", subscription=self._subscription)
        self._is_paused = is_paused
