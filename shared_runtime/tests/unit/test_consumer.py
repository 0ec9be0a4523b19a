"""What a service forgets is noticed when it starts, not when the first message comes."""

from typing import Any

import pytest
from examples import Counted
from msgspec import Struct
from sqlmodel import Field, SQLModel

from shared_runtime.consumer import Consumer, KeyedLoad, loaded_by
from shared_runtime.store import RowStore
from shared_runtime.unit_of_work import UnitOfWork


class Tally(Struct, frozen=True):
    session_id: str


class TallyRow(SQLModel, table=True):
    __tablename__ = "unit_tally"

    session_id: str = Field(primary_key=True)


class Subscription(Struct, frozen=True):
    name: str = "tests.counted"
    topic: str = "delivery-events"
    messages: tuple[type[Any], ...] = (Counted,)
    partitions: int = 1
    dead_letter_queue: str = "tests.counted.dead-letters"

    def queue(self, partition: int) -> str:
        return f"{self.name}.{partition}"


@pytest.fixture
def consumer() -> Consumer:
    return Consumer("tests", [Subscription()], [RowStore(Tally, TallyRow)])


async def load_nothing(_connection: Any, _messages: Any) -> list[object]:
    return []


def on_counted(message: Counted, work: UnitOfWork) -> None:
    """A handler."""


def test_a_state_class_is_loaded_by_the_session(consumer: Consumer) -> None:
    consumer.handles(Counted, loads=[Tally, load_nothing])(on_counted)
    registration = consumer.registrations[Counted]
    (load,) = registration.loads
    assert (load.state, load.key(Counted(session_id="s"))) == (Tally, "s")
    assert registration.loaders == (load_nothing,)


def test_a_key_can_come_from_anywhere_in_the_message(consumer: Consumer) -> None:
    consumer.handles(Counted, loads=[loaded_by(Tally, lambda message: str(message.number))])(on_counted)
    assert consumer.registrations[Counted].loads[0].key(Counted(session_id="s", number=7)) == "7"


def test_a_message_has_one_handler(consumer: Consumer) -> None:
    consumer.handles(Counted)(on_counted)
    with pytest.raises(ValueError, match="Counted has a handler already"):
        consumer.handles(Counted)(on_counted)


@pytest.mark.parametrize("load", [dict, loaded_by(dict, str)])
def test_a_load_needs_a_store(consumer: Consumer, load: type | KeyedLoad) -> None:
    with pytest.raises(ValueError, match="on_counted loads dict, which no store keeps"):
        consumer.handles(Counted, loads=[load])(on_counted)


def test_a_subscription_needs_handlers_for_all_its_messages(consumer: Consumer) -> None:
    with pytest.raises(ValueError, match=r"tests\.counted delivers what nobody handles: Counted"):
        consumer.check()
    consumer.handles(Counted)(on_counted)
    consumer.check()


def test_a_deadline_needs_a_store(consumer: Consumer) -> None:
    with pytest.raises(KeyError):
        consumer.when_due(dict, "due_at")(on_counted)
