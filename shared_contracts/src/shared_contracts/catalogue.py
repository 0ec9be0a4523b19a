"""Every message of the suite by its CloudEvents type, with who publishes it, who receives it and what orders it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from shared_contracts.delivery import v1 as delivery_v1
from shared_contracts.drone_scheduler import v1 as drone_scheduler_v1
from shared_contracts.fleet import v1 as fleet_v1
from shared_contracts.ingestion import v1 as ingestion_v1
from shared_contracts.message import Message
from shared_contracts.package_service import v1 as package_service_v1
from shared_contracts.topology import PUBLISHED_FOR_OTHERS, SUBSCRIPTIONS

MODULES: tuple[ModuleType, ...] = (
    ingestion_v1,
    package_service_v1,
    drone_scheduler_v1,
    delivery_v1,
    fleet_v1,
)
"""The modules that declare messages, one per publisher and version, in the order of the flow."""

_MESSAGE_TYPE = re.compile(r"dronedelivery\.(?P<publisher>[a-z_]+)\.(?P<name>[a-z_]+)\.v(?P<version>[1-9][0-9]*)")


@dataclass(frozen=True)
class MessageName:
    """The parts of a CloudEvents type `dronedelivery.<publisher>.<name>.v<version>`."""

    publisher: str
    """The folder of the publisher that owns the message, as in `shared_contracts.<publisher>`."""
    name: str
    version: int

    @classmethod
    def parse(cls, message_type: str) -> "MessageName":
        """Raises ValueError when the type does not have these parts."""
        match = _MESSAGE_TYPE.fullmatch(message_type)
        if match is None:
            raise ValueError(f"{message_type!r} is not of the form dronedelivery.<publisher>.<name>.v<version>")
        return cls(match["publisher"], match["name"], int(match["version"]))

    @property
    def service(self) -> str:
        """The owner's name as in the topology."""
        return self.publisher.replace("_", "-")

    @property
    def path(self) -> str:
        """Where the documents about the message are filed, without extension."""
        return f"{self.publisher}/{self.name}.v{self.version}"


def messages_in(module: ModuleType) -> Iterator[type[Message]]:
    """The messages that a module declares, in the order of the source; shared bases have no type and are left out."""
    for declared in vars(module).values():
        if (
            isinstance(declared, type)
            and issubclass(declared, Message)
            and declared.__module__ == module.__name__
            and "message_type" in vars(declared)
        ):
            yield declared


def by_type(messages: Iterable[type[Message]]) -> dict[str, type[Message]]:
    """The messages by their CloudEvents type. Raises ValueError when two have the same one."""
    catalogue: dict[str, type[Message]] = {}
    for message in messages:
        other = catalogue.setdefault(message.message_type, message)
        if other is not message:
            raise ValueError(f"{other.__name__} and {message.__name__} are both {message.message_type}")
    return catalogue


MESSAGES: dict[str, type[Message]] = by_type(message for module in MODULES for message in messages_in(module))
"""Every message by its CloudEvents type."""


def publishers_of(message: type[Message]) -> tuple[str, ...]:
    """The services that publish the message: its owner, then those that pass it on."""
    passing_on = (service for service, messages in PUBLISHED_FOR_OTHERS.items() if message in messages)
    return MessageName.parse(message.message_type).service, *passing_on


def subscribers_of(message: type[Message]) -> tuple[str, ...]:
    """The services with a subscription to the message."""
    return tuple(subscription.service for subscription in SUBSCRIPTIONS if message in subscription.messages)


def session_field_of(message: type[Message]) -> str:
    """The field that orders the message. Raises ValueError when the session is not one of the fields."""
    # Every field holds its own name, so the session id says which one it was taken from.
    names: dict[str, Any] = {name: name for name in message.model_fields}
    field = str(message.model_construct(**names).session_id)
    if field not in message.model_fields:
        raise ValueError(f"the session of {message.__name__} is none of its fields")
    return field
