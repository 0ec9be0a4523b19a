"""Sessions keep their order and effects happen once, whatever the broker, the database, the handlers and support do.

And the machine that says so can say otherwise: with one rule of the runtime broken at a time, it has to find it.
"""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from journals import Place
from sessions_machine import STEP_COUNT, Sessions

from shared_runtime import held, inbox
from shared_runtime.messages import SubscriptionSource

HISTORIES = settings.default.max_examples * 3 // 5
HISTORIES_UNTIL_FOUND = 150
MAX_STORY_LINES = 40

Break = Callable[[pytest.MonkeyPatch], None]


def machine_at(place: Place) -> type[Sessions]:
    """A machine of its own, because its place and its seed stay with it."""
    return type("Sessions", (Sessions,), {"place": place})


def test_order_is_kept_and_nothing_is_lost_or_doubled(place: Place) -> None:
    run_state_machine_as_test(
        machine_at(place), settings=settings(max_examples=HISTORIES, stateful_step_count=STEP_COUNT)
    )


def inbox_accepts_duplicates(patch: pytest.MonkeyPatch) -> None:
    async def admit(connection: Any, subscription: str, messages: Any, *rest: Any) -> Any:
        fresh, waiting = await honest(connection, subscription, messages, *rest)
        return fresh | set(messages), waiting

    honest = inbox.admit
    patch.setattr(inbox, "admit", admit)


def later_messages_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    async def admit(*given: Any) -> Any:
        fresh, _ = await honest(*given)
        return fresh, set()

    honest = inbox.admit
    patch.setattr(inbox, "admit", admit)


def later_messages_of_the_same_batch_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SubscriptionSource, "holds_followers", lambda *_: False)


def dead_letters_are_not_parked(patch: pytest.MonkeyPatch) -> None:
    async def insert(connection: asyncpg.Connection, messages: Any) -> None:
        await honest(connection, [one for one in messages if not one.is_parked])

    honest = held.insert
    patch.setattr(held, "insert", insert)


def replay_comes_last(patch: pytest.MonkeyPatch) -> None:
    """Instead of in the place of its dead letter."""

    async def unpark(connection: asyncpg.Connection, subscription: str, replays: Any, *_: Any) -> Any:
        await held.discard(connection, subscription, [one.id for one in replays])
        return set()

    patch.setattr(held, "unpark", unpark)


def held_message_stays_when_it_is_handled(patch: pytest.MonkeyPatch) -> None:
    async def keep(*_: Any) -> None:
        return None

    patch.setattr(held, "remove", keep)


BROKEN: dict[Break, str] = {
    inbox_accepts_duplicates: "happened twice|held twice|what is handled is held",
    later_messages_do_not_wait: "overtaken|out of order|what is handled is held",
    later_messages_of_the_same_batch_do_not_wait: "overtaken|out of order",
    dead_letters_are_not_parked: "is lost|overtaken",
    replay_comes_last: "out of order|overtaken",
    held_message_stays_when_it_is_handled: "what is handled is held|happened twice",
}


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_a_broken_rule_is_found(rule: Break, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(monkeypatch)
    bounded = settings(
        max_examples=HISTORIES_UNTIL_FOUND,
        stateful_step_count=STEP_COUNT,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
    )
    with pytest.raises(AssertionError, match=BROKEN[rule]) as found:
        run_state_machine_as_test(seed(1)(machine_at(place)), settings=bounded)
    story = "\n".join(found.value.__notes__)
    assert "sender_sends(" in story
    assert story.count("\n") < MAX_STORY_LINES, story
