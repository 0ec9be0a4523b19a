"""A history in which nothing went wrong: a delivery completed, one cancelled after its drone was booked, one failed."""

from dataclasses import dataclass, field
from itertools import count

import msgspec
from faultline.checker.handlers import OUTSIDE, SERVED_BY
from faultline.history import (
    Batch,
    Call,
    Change,
    Final,
    Operation,
    Outcome,
    Phase,
    Proof,
    Published,
    Record,
    Recovery,
    Trial,
)

from shared_contracts.delivery.v1 import (
    DeliveryCancelled,
    DeliveryCompleted,
    DeliveryFailed,
    DeliveryHeadedToPickup,
    DeliveryScheduled,
    NotificationRequested,
)
from shared_contracts.drone_scheduler.v1 import DroneReleased, DroneScheduled
from shared_contracts.ingestion.v1 import DeliveryCancellationRequested, DeliveryRequested
from shared_contracts.message import Message
from shared_contracts.package_service.v1 import PackageReady, PackageRejected, PackageWithdrawn

COMPLETED, CANCELLED, FAILED = "delivery-1", "delivery-2", "delivery-3"
DRONE = "drone-1"
OWNER = "owner-1"


@dataclass
class Writer:
    """Notes what a healthy suite does."""

    records: list[Record] = field(default_factory=list)
    clock: "count[int]" = field(default_factory=lambda: count(1))
    positions: "count[int]" = field(default_factory=lambda: count(1))

    def accept(self, delivery: str) -> None:
        """A client's request and its answer."""
        for phase in (Phase.INVOKE, Phase.OK):
            self.records.append(
                Operation(
                    at=next(self.clock),
                    phase=phase,
                    action="submit",
                    owner=OWNER,
                    key=f"key of {delivery}",
                    delivery_id=delivery if phase is Phase.OK else None,
                )
            )
        self.change("ingestion", "delivery_progress", delivery, "Pending")
        self.tell("ingestion", DeliveryRequested, delivery)

    def tell(self, service: str, kind: type[Message], delivery: str) -> None:
        """An event, and its effect at each subscriber."""
        number = next(self.positions)
        message_id = f"message-{number}"
        self.records.append(
            Published(service=service, position=number, message_id=message_id, kind=kind.message_type, session=delivery)
        )
        for subscription in SERVED_BY[kind.message_type]:
            if subscription not in OUTSIDE:
                call = Call(message_id, 0, kind.message_type, delivery, next(self.clock))
                self.records.append(
                    Batch(
                        process="process",
                        pid=1,
                        number=next(self.positions),
                        subscription=subscription,
                        calls=[call],
                        commit_at=next(self.clock),
                        outcome=Outcome.COMMITTED,
                    )
                )

    def notify(self, delivery: str, told: str) -> None:
        """Somebody is told of a stage."""
        number = next(self.positions)
        self.records.append(
            Published(
                service="delivery",
                position=number,
                message_id=f"message-{number}",
                kind=NotificationRequested.message_type,
                session=delivery,
                told=told,
            )
        )

    def change(self, service: str, table: str, key: str, status: str, drone: str | None = None) -> None:
        """A row in its new state, in a transaction of its own."""
        number = next(self.positions)
        self.records.append(
            Change(
                service=service,
                position=number,
                transaction=f"{service} {number}",
                table=table,
                key=key,
                status=status,
                drone_id=drone,
            )
        )


def healthy() -> Trial:
    """The trial that holds every invariant."""
    writer = Writer()
    for delivery in (COMPLETED, CANCELLED, FAILED):
        writer.accept(delivery)
        writer.change("package_service", "package", delivery, "Rejected" if delivery == FAILED else "Ready")
        writer.tell("package_service", PackageRejected if delivery == FAILED else PackageReady, delivery)
        if delivery == FAILED:
            writer.change("drone_scheduler", "booking", delivery, "Waiting")
        else:
            writer.change("drone_scheduler", "booking", delivery, "Booked", DRONE)
            writer.tell("drone_scheduler", DroneScheduled, delivery)
            writer.change("delivery", "delivery", delivery, "Created", DRONE)
            writer.tell("delivery", DeliveryScheduled, delivery)
        if delivery == COMPLETED:
            writer.tell("delivery", DeliveryHeadedToPickup, delivery)
            writer.change("drone_scheduler", "booking", delivery, "InFlight", DRONE)
            writer.change("delivery", "delivery", delivery, "Completed", DRONE)
            writer.tell("delivery", DeliveryCompleted, delivery)
            writer.change("package_service", "package", delivery, "Delivered")
            writer.change("drone_scheduler", "booking", delivery, "Completed", DRONE)
        if delivery == CANCELLED:
            writer.tell("ingestion", DeliveryCancellationRequested, delivery)
            writer.change("delivery", "delivery", delivery, "Cancelled", DRONE)
            writer.tell("delivery", DeliveryCancelled, delivery)
            writer.change("package_service", "package", delivery, "Withdrawn")
            writer.tell("package_service", PackageWithdrawn, delivery)
            writer.change("drone_scheduler", "booking", delivery, "Released", DRONE)
            writer.tell("drone_scheduler", DroneReleased, delivery)
        if delivery == FAILED:
            writer.change("delivery", "delivery", delivery, "Failed")
            writer.tell("delivery", DeliveryFailed, delivery)
            writer.change("drone_scheduler", "booking", delivery, "Withdrawn")
    writer.notify(COMPLETED, "wish-1 Completed")
    writer.records += [Proof(fault="kill", evidence="gone"), Recovery(limit_s=30, consumers_s=1.0, progress_s=2.0)]
    return Trial(history=writer.records, final=_final())


def _final() -> Final:
    ends = {COMPLETED: "Completed", CANCELLED: "Cancelled", FAILED: "Failed"}
    reasons = {COMPLETED: None, CANCELLED: "customer_request", FAILED: "package_too_heavy"}
    packages = {COMPLETED: "Delivered", CANCELLED: "Withdrawn", FAILED: "Rejected"}
    bookings = {COMPLETED: "Completed", CANCELLED: "Released", FAILED: "Withdrawn"}
    return Final(
        requests=[
            {"delivery_id": one, "owner_id": OWNER, "stage": stage, "reason": reasons[one]}
            for one, stage in ends.items()
        ],
        deliveries=[
            {
                "delivery_id": one,
                "owner_id": OWNER,
                "stage": stage,
                "failure_reason": reasons[one] if stage == "Failed" else None,
                "drone_id": None,
                "has_flown": stage == "Completed",
                "distance_flown_m": 1_200.0 if stage == "Completed" else 0.0,
                "duration_flown_s": 60.0 if stage == "Completed" else None,
                "is_package_withdrawn": stage == "Cancelled",
                "is_drone_released": stage == "Cancelled",
            }
            for one, stage in ends.items()
        ],
        packages=[{"package_id": one, "status": status, "is_tombstone": False} for one, status in packages.items()],
        bookings=[
            {
                "delivery_id": one,
                "status": status,
                "drone_id": DRONE,
                "failure_reason": None,
                "flown_distance_m": 1_200.0 if status == "Completed" else None,
                "flown_duration_s": 60.0 if status == "Completed" else None,
            }
            for one, status in bookings.items()
        ],
        wishes=[{"request_id": "wish-1", "delivery_id": COMPLETED, "stage": "Completed"}],
        drones=[{"drone_id": DRONE, "status": "Free", "delivery_id": None}],
        outbox={"delivery": 0},
        suspects={"delivery": 0},
        queues={"delivery.delivery.0": 0},
    )


def with_history(trial: Trial, history: list[Record]) -> Trial:
    """The same with another history."""
    return msgspec.structs.replace(trial, history=history)


def with_final(trial: Trial, **changes: object) -> Trial:
    """The same with other dumps."""
    return msgspec.structs.replace(trial, final=msgspec.structs.replace(trial.final, **changes))
