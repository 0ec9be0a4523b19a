"""A rest is as long as the transaction before it, and ends when enough is there."""

import asyncio

import pytest

from shared_runtime import rest as rests
from shared_runtime.rest import rest

LONG_S = 60.0


class Looks:
    """Says that enough is there from a certain look on, the first one being 1."""

    def __init__(self, *, enough_at: int) -> None:
        self.enough_at = enough_at
        self.number = 0

    def __call__(self) -> bool:
        self.number += 1
        return self.number >= self.enough_at


async def soon(looks: Looks, took_s: float) -> float:
    """Rest, and say how many seconds it took. Raises TimeoutError after five."""
    clock = asyncio.get_running_loop()
    began_at_s = clock.time()
    async with asyncio.timeout(5):
        await rest(took_s, looks)
    return clock.time() - began_at_s


@pytest.mark.parametrize("enough_at", [1, 3])
async def test_a_rest_ends_when_enough_is_there(enough_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "MAX_REST_S", LONG_S)
    looks = Looks(enough_at=enough_at)
    await soon(looks, LONG_S)
    assert looks.number == enough_at


async def test_a_rest_takes_as_long_as_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "MAX_REST_S", LONG_S)
    assert await soon(Looks(enough_at=1000), 0.02) >= 0.02


async def test_a_rest_takes_no_longer_than_the_longest() -> None:
    assert await soon(Looks(enough_at=1000), LONG_S) >= rests.MAX_REST_S
