"""The base of every message: its CloudEvents type, the topic it travels on and the session it belongs to."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Topic(StrEnum):
    """The exchanges that messages are published to."""

    DELIVERY_REQUESTS = "delivery-requests"
    """New requests: package_service and drone_scheduler each have a subscription of their own."""
    DELIVERY = "delivery"
    """The session queue of the delivery service: whatever concerns a delivery, in order per delivery."""
    DELIVERY_EVENTS = "delivery-events"
    """What became of a delivery. The delivery service is the only publisher."""
    DRONE_TELEMETRY = "drone-telemetry"
    """Positions and battery levels that drones report."""


class Message(BaseModel):
    """A fact or a command that travels between services.

    Consumers ignore fields that they do not know, so a message may grow by addition. Any other change is a new
    version, side by side with the old one until nobody sends that any more.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, allow_inf_nan=False)

    message_type: ClassVar[str]
    """The CloudEvents `type`: `dronedelivery.<publisher>.<name>.v<version>`."""
    topic: ClassVar[Topic]
    """The exchange that the message is published to."""

    @property
    def session_id(self) -> UUID:
        """The ordering key: the messages of one session are handled in the order of their publication."""
        raise NotImplementedError(f"{type(self).__name__} does not name its session")


class DeliveryMessage(Message):
    """A message about one delivery, which is its session."""

    delivery_id: UUID
    """The delivery. Ingestion chose it when it accepted the request."""

    @property
    def session_id(self) -> UUID:
        return self.delivery_id
