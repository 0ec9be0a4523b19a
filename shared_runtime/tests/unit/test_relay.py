"""Rows of confirmed messages are deleted by somebody, whatever becomes of the transaction that was to do it."""

import asyncio
import struct
from typing import Any
from uuid import UUID

import pytest
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError
from examples import an_envelope
from pamqp.commands import Basic

from shared_runtime import relay as relay_module
from shared_runtime.backlog import Fate, Outcome
from shared_runtime.database import Database
from shared_runtime.outbox import Routed, pack
from shared_runtime.publisher import Publisher
from shared_runtime.relay import Relay

DATABASE: Any = object.__new__(Database)
ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture
def relay() -> Relay:
    relay = Relay(DATABASE, "amqp://nowhere", "tests")
    relay._confirmed = [ONE]
    return relay


async def test_a_transaction_takes_the_confirmed_rows_along(relay: Relay) -> None:
    with relay.confirmed_rows() as rows:
        assert rows == [ONE]
        with relay.confirmed_rows() as others:
            assert others == [], "nobody else deletes them meanwhile"
        assert relay._being_deleted == {ONE}, "nor reads them as left behind"
    assert (relay._confirmed, relay._being_deleted) == ([], set())


@pytest.mark.parametrize("failure", [ValueError("refused"), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_a_transaction_that_fails_gives_them_back(relay: Relay, failure: BaseException) -> None:
    def fail() -> None:
        with relay.confirmed_rows():
            relay._confirmed.append(TWO)
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert sorted(relay._confirmed) == [ONE, TWO]
    assert relay._being_deleted == set()


def test_a_memory_full_of_refused_messages_is_so_until_the_broker_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while they are tried again: nobody else is published meanwhile."""
    monkeypatch.setattr(relay_module, "MAX_IN_MEMORY", 2)
    relay = Relay(DATABASE, "amqp://nowhere", "tests")

    def is_full_after(fate: Fate) -> bool:
        messages = relay._backlog.next_round(1)
        relay._look_for_room(is_all_parked=not messages)
        relay._backlog.settle([Outcome(fate) for _ in messages])
        return relay.is_full_of_refused

    for session in "ab":
        relay._backlog.add(pack([Routed("topic", "key", an_envelope(session_id=session))]))
    assert not is_full_after(Fate.REFUSED), "the second has not been tried"
    assert is_full_after(Fate.REFUSED), "nothing is left to be tried"
    relay._backlog.reopen()
    assert is_full_after(Fate.REFUSED)
    assert is_full_after(Fate.REFUSED)
    relay._backlog.reopen()
    assert is_full_after(Fate.CONFIRMED)
    assert not is_full_after(Fate.CONFIRMED)


RETURNED = DeliveryError(None, Basic.Return(312, "NO_ROUTE", "topic", "key"))


@pytest.mark.parametrize(
    ("error", "alone", "among_others"),
    [
        (None, Fate.CONFIRMED, Fate.CONFIRMED),
        (RETURNED, Fate.REFUSED, Fate.REFUSED),
        (DeliveryError(None, Basic.Nack(1)), Fate.REFUSED, Fate.REFUSED),
        # The broker closes the channel because of one message, and says not of which.
        (ChannelNotFoundEntity("no exchange"), Fate.REFUSED, Fate.UNKNOWN),
        (ConnectionResetError(), Fate.UNKNOWN, Fate.UNKNOWN),
        (asyncio.CancelledError(), Fate.UNKNOWN, Fate.UNKNOWN),
        (RuntimeError("channel is closed"), Fate.UNKNOWN, Fate.UNKNOWN),
        # No frame can hold it, today or tomorrow.
        (TypeError("no header"), Fate.REFUSED, Fate.REFUSED),
        (ValueError("too long"), Fate.REFUSED, Fate.REFUSED),
        (struct.error("too large"), Fate.REFUSED, Fate.REFUSED),
    ],
    ids=repr,
)
def test_answers_of_the_broker(error: BaseException | None, alone: Fate, among_others: Fate) -> None:
    publisher = Publisher("amqp://nowhere", "tests")
    assert publisher._outcome(error, is_alone=True).fate is alone
    assert publisher._outcome(error, is_alone=False).fate is among_others
