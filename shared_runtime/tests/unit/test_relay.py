"""Rows of confirmed messages are deleted by somebody, whatever becomes of the transaction that was to do it."""

import asyncio
import struct
from typing import Any
from uuid import UUID

import pytest
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError
from pamqp.commands import Basic

from shared_runtime.backlog import Fate
from shared_runtime.database import Database
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
