"""The catalogue has every message, under the name and the publisher that its type tells."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import getfile
from pathlib import Path
from types import ModuleType
from typing import ClassVar
from uuid import UUID

import pytest

from shared_contracts.catalogue import (
    MESSAGES,
    MODULES,
    MessageName,
    by_type,
    messages_in,
    publishers_of,
    session_field_of,
    subscribers_of,
)
from shared_contracts.delivery.v1 import DeliveryFailed, DeliveryScheduled
from shared_contracts.fleet.v1 import DroneTelemetryReported
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Message

PACKAGE = Path(getfile(Message)).parent


def modules_on_disk() -> set[str]:
    """The names of the publishers' modules, found without the catalogue."""
    return {f"shared_contracts.{file.parent.name}.{file.stem}" for file in PACKAGE.glob("*/v[0-9]*.py")}


def unlisted(modules: Iterable[ModuleType]) -> set[str]:
    return modules_on_disk() - {module.__name__ for module in modules}


def descendants(base: type[Message]) -> Iterator[type[Message]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from descendants(subclass)


def test_every_module_of_a_publisher_is_listed() -> None:
    assert unlisted(MODULES) == set()


def test_a_module_that_is_not_listed_would_be_noticed() -> None:
    assert unlisted(MODULES[1:]) == {MODULES[0].__name__}


def test_every_concrete_message_is_in_the_catalogue() -> None:
    for name in modules_on_disk():
        import_module(name)

    # A message is whatever names a type of its own; the catalogue finds them by another way, module by module.
    declared = {
        message
        for message in descendants(Message)
        if "message_type" in vars(message) and message.__module__ in modules_on_disk()
    }

    assert set(MESSAGES.values()) == declared
    assert len(declared) >= 20


def test_a_shared_base_is_no_message() -> None:
    assert "DeliveryEvent" not in {message.__name__ for message in MESSAGES.values()}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.__name__)
def test_the_type_names_publisher_class_and_version(message: type[Message]) -> None:
    name = MessageName.parse(message.message_type)

    assert message.__module__ == f"shared_contracts.{name.publisher}.v{name.version}"
    assert message.__name__ == "".join(word.capitalize() for word in name.name.split("_"))


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "dronedelivery.delivery.delivery_failed",
        "dronedelivery.delivery.delivery_failed.v0",
        "dronedelivery.delivery.DeliveryFailed.v1",
        "other.delivery.delivery_failed.v1",
        "dronedelivery.delivery.delivery_failed.v1\n",
    ],
)
def test_a_malformed_type_is_refused(malformed: str) -> None:
    with pytest.raises(ValueError, match="is not of the form"):
        MessageName.parse(malformed)


def test_two_messages_with_one_type_are_refused() -> None:
    class Impostor(Message):
        message_type: ClassVar[str] = DeliveryRequested.message_type

    with pytest.raises(ValueError, match="DeliveryRequested and Impostor are both"):
        by_type([DeliveryRequested, Impostor])


def test_the_order_is_that_of_the_source() -> None:
    ingestion = next(module for module in MODULES if module.__name__ == DeliveryRequested.__module__)

    assert [message.__name__ for message in messages_in(ingestion)] == [
        "DeliveryRequested",
        "DeliveryRescheduleRequested",
        "DeliveryCancellationRequested",
    ]


def test_publishers_are_the_owner_and_who_passes_it_on() -> None:
    assert publishers_of(DeliveryScheduled) == ("delivery",)
    assert publishers_of(DroneTelemetryReported) == ("fleet", "delivery")


def test_subscribers_come_from_the_topology() -> None:
    assert subscribers_of(DeliveryRequested) == ("package-service", "drone-scheduler")
    assert set(subscribers_of(DeliveryFailed)) >= {"package-service", "drone-scheduler", "ingestion"}


def test_a_delivery_orders_its_messages_and_a_drone_its_telemetry() -> None:
    ordered_by = {message.__name__: session_field_of(message) for message in MESSAGES.values()}

    assert ordered_by.pop("DroneTelemetryReported") == "drone_id"
    assert set(ordered_by.values()) == {"delivery_id"}


def test_a_session_that_is_no_field_is_refused() -> None:
    class Unordered(Message):
        message_type: ClassVar[str] = "dronedelivery.delivery.unordered.v1"

        @property
        def session_id(self) -> UUID:
            return UUID(int=0)

    with pytest.raises(ValueError, match="none of its fields"):
        session_field_of(Unordered)
