"""Which service subscribes to what: the one table that exchanges, queues and bindings are made from."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared_contracts.delivery import v1 as delivery
from shared_contracts.drone_scheduler import v1 as drone_scheduler
from shared_contracts.fleet import v1 as fleet
from shared_contracts.ingestion import v1 as ingestion
from shared_contracts.message import Message, Topic
from shared_contracts.package_service import v1 as package_service

PARTITIONS = 4
"""How many queues a partitioned subscription has. Publishers hash the session to one of them, so the number is the
same everywhere, and changing it needs empty queues."""


@dataclass(frozen=True)
class Subscription:
    """One service's share of a topic: the message types it handles, in `partitions` queues."""

    service: str
    topic: Topic
    messages: tuple[type[Message], ...]
    partitions: int = PARTITIONS
    is_ordered: bool = True
    """Whether a message that cannot be processed makes the later ones of its session wait, until support has replayed
    or discarded it."""

    @property
    def name(self) -> str:
        return f"{self.service}.{self.topic}"

    def queue(self, partition: int) -> str:
        return f"{self.name}.{partition}"

    @property
    def queues(self) -> Iterator[str]:
        return (self.queue(partition) for partition in range(self.partitions))

    @property
    def dead_letter_queue(self) -> str:
        return f"{self.name}.dead-letters"


SUBSCRIPTIONS = (
    Subscription("package-service", Topic.DELIVERY_REQUESTS, (ingestion.DeliveryRequested,)),
    Subscription(
        "package-service",
        Topic.DELIVERY_EVENTS,
        (delivery.DeliveryCompleted, delivery.DeliveryCancelled, delivery.DeliveryFailed),
    ),
    Subscription("drone-scheduler", Topic.DELIVERY_REQUESTS, (ingestion.DeliveryRequested,)),
    Subscription(
        "drone-scheduler",
        Topic.DELIVERY_EVENTS,
        (
            delivery.DeliveryRescheduled,
            delivery.DeliveryHeadedToPickup,
            delivery.DeliveryCompleted,
            delivery.DeliveryCancelled,
            delivery.DeliveryFailed,
        ),
    ),
    # A drone's next report makes an earlier one worthless.
    Subscription("drone-scheduler", Topic.DRONE_TELEMETRY, (fleet.DroneTelemetryReported,), is_ordered=False),
    Subscription(
        "delivery",
        Topic.DELIVERY,
        (
            ingestion.DeliveryRescheduleRequested,
            ingestion.DeliveryCancellationRequested,
            package_service.PackageReady,
            package_service.PackageRejected,
            package_service.PackageWithdrawn,
            drone_scheduler.DroneScheduled,
            drone_scheduler.DroneSchedulingFailed,
            drone_scheduler.DroneReleased,
        ),
    ),
    Subscription("delivery", Topic.DRONE_TELEMETRY, (fleet.DroneTelemetryReported,), is_ordered=False),
    Subscription(
        "ingestion",
        Topic.DELIVERY_EVENTS,
        (
            delivery.DeliveryScheduled,
            delivery.DeliveryRescheduled,
            delivery.DeliveryHeadedToPickup,
            delivery.DeliveryHeadedToDropoff,
            delivery.DeliveryCompleted,
            delivery.DeliveryCancelled,
            delivery.DeliveryFailed,
            delivery.DeliveryCancellationRefused,
            delivery.DeliveryRescheduleRefused,
        ),
    ),
    # The mailbox of whatever delivers e-mail and text messages; outside the suite, so one queue is enough.
    Subscription("notifications", Topic.DELIVERY_EVENTS, (delivery.NotificationRequested,), partitions=1),
)

PUBLISHERS: dict[str, tuple[Topic, ...]] = {
    "ingestion": (Topic.DELIVERY_REQUESTS, Topic.DELIVERY),
    "package-service": (Topic.DELIVERY,),
    "drone-scheduler": (Topic.DELIVERY,),
    "delivery": (Topic.DELIVERY_EVENTS, Topic.DRONE_TELEMETRY),
    "fleet": (Topic.DRONE_TELEMETRY,),
}
"""The exchanges that each publisher may write to."""

PUBLISHED_FOR_OTHERS: dict[str, tuple[type[Message], ...]] = {
    # A drone that has no connection to the broker reports over HTTP.
    "delivery": (fleet.DroneTelemetryReported,),
}
"""Messages that a service passes on although another publisher owns them."""


def subscriptions_of(service: str) -> tuple[Subscription, ...]:
    """The subscriptions of one service, by its name as in `Subscription.service`."""
    return tuple(subscription for subscription in SUBSCRIPTIONS if subscription.service == service)
