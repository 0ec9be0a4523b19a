"""How long a loop of transactions waits for more messages before it begins the next one."""

import asyncio
from contextlib import suppress

PAUSE_RATIO = 1.0
"""How many times as long as a transaction took the next one waits. The more others want the processors, the longer a
transaction takes, and the more everybody gains from one that has more messages."""
MAX_PAUSE_S = 0.05
ENOUGH_MESSAGES = 100
"""So many are worth a transaction at once."""


class Pacing:
    """The pauses between the transactions of one loop.

    What a transaction costs beside its messages is about the same for one of them as for a hundred: the ways to the
    database, the publication with its confirm, the acknowledgement, the waking up of all who take part.
    """

    def __init__(self) -> None:
        self._has_enough = asyncio.Event()

    def tell(self, waiting: int) -> None:
        """So many messages wait for the next transaction now."""
        if waiting >= ENOUGH_MESSAGES:
            self._has_enough.set()
        else:
            self._has_enough.clear()

    async def pause(self, took_s: float) -> None:
        """Wait after a transaction that took so long: until enough messages are there, or the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(MAX_PAUSE_S, PAUSE_RATIO * took_s)):
                await self._has_enough.wait()
