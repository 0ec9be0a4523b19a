"""A rest after a transaction, so that more arrives for the next one.

What a transaction costs beside its messages (ways to the database, a publication with its confirm, the waking up of all
who take part) is about the same for one message as for a hundred.
"""

import asyncio
from collections.abc import Callable

MAX_REST_S = 0.05
LOOK_AGAIN_S = 0.005
"""How often a rest looks whether enough is there. To be told of every message would cost more than ten looks."""


async def rest(took_s: float, is_enough: Callable[[], bool]) -> None:
    """Wait as long as the transaction took, MAX_REST_S at most, unless enough is there for the next one.

    It takes the longer the more others want the processors, and then all of them gain from larger batches.
    """
    clock = asyncio.get_running_loop()
    end_s = clock.time() + min(took_s, MAX_REST_S)
    while (left_s := end_s - clock.time()) > 0 and not is_enough():
        await asyncio.sleep(min(left_s, LOOK_AGAIN_S))
