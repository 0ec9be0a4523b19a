"""A subscription may dead-letter so many messages a minute."""

import pytest
from prometheus_client import REGISTRY

from shared_runtime.dead_letter_limit import DeadLetterLimit
from shared_runtime.errors import SubscriptionPaused


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> DeadLetterLimit:
    return DeadLetterLimit("tests.limit", per_minute=6, clock=clock)


def test_a_minutes_worth_may_come_at_once(limit: DeadLetterLimit) -> None:
    limit.require(6)
    limit.take(6)
    with pytest.raises(SubscriptionPaused, match="more than 6 dead letters per minute"):
        limit.require(1)
    assert limit.trouble == "paused: more than 6 dead letters per minute"


def test_it_goes_on_when_there_is_room_for_one(limit: DeadLetterLimit, clock: Clock) -> None:
    limit.take(6)
    with pytest.raises(SubscriptionPaused):
        limit.require(1)
    clock.now_s += 9.9
    with pytest.raises(SubscriptionPaused):
        limit.require(1)
    clock.now_s += 0.2
    limit.require(1)
    assert limit.trouble is None


def test_a_quiet_hour_is_worth_one_minute(limit: DeadLetterLimit, clock: Clock) -> None:
    clock.now_s += 3600
    limit.require(6)
    with pytest.raises(SubscriptionPaused):
        limit.require(7)


def test_too_many_at_once_are_no_pause_as_long_as_some_are_allowed(limit: DeadLetterLimit) -> None:
    with pytest.raises(SubscriptionPaused):
        limit.require(7)
    assert limit.trouble is None


def test_good_messages_neither_pause_nor_resume(limit: DeadLetterLimit) -> None:
    limit.take(6)
    limit.require(0)
    with pytest.raises(SubscriptionPaused):
        limit.require(1)
    limit.require(0)
    assert limit.trouble is not None


def test_it_is_paused_no_longer_than_the_limit_says(limit: DeadLetterLimit, clock: Clock) -> None:
    """What was to be dead-lettered is handled after all, so that no other dead letter comes."""
    limit.take(6)
    with pytest.raises(SubscriptionPaused):
        limit.require(1)
    assert REGISTRY.get_sample_value("subscription_paused", {"subscription": "tests.limit"}) == 1
    clock.now_s += 11
    assert limit.trouble is None
    assert REGISTRY.get_sample_value("subscription_paused", {"subscription": "tests.limit"}) == 0
