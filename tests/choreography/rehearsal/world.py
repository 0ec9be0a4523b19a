"""Four services, their network, one clock; customers, drones and staff act on them from outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count, islice
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from delivery.commands import AskToBeNotified, ConfirmHandover, ReportTelemetry, Viewer
from delivery.consumers import consumer as delivery_consumer
from delivery.domain.delivery import Delivery
from delivery.domain.notifying import request_id_of
from drone_scheduler.commands import GroundDrone, RegisterDrone, UngroundDrone
from drone_scheduler.consumers import consumer as scheduler_consumer
from drone_scheduler.domain.fleet import DroneDesign
from ingestion.consumers import consumer as ingestion_consumer
from ingestion.domain.commands import CancelDelivery, Idempotency, Refusal, RescheduleDelivery, SubmitDelivery
from package_service.consumers import DescribePackage
from package_service.consumers import consumer as package_consumer
from rehearsal.actor import Actor, Refused, Sent, Step
from rehearsal.network import Network
from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import (
    ConfirmationType,
    DeliveryStage,
    Location,
    PackageDescription,
    PackageSize,
)
from shared_contracts.fleet.v1 import DroneActivity, DroneTelemetryReported
from shared_contracts.message import Message
from shared_contracts.topology import PARTITIONS
from shared_runtime.outbox import Routed
from shared_runtime.partition import partition_of
from shared_runtime.testing import envelope_of

# Two loaders look at the clock of the machine to place what a drone has observed: all of this is past for them.
START = datetime(2020, 6, 1, 12, tzinfo=UTC)
OWNER = "alice"
BASE = Location(latitude=48.8600, longitude=2.3300)
PICKUP = Location(latitude=48.8606, longitude=2.3376)
DROPOFF = Location(latitude=48.8720, longitude=2.3316)
PACKAGES = {
    "light": PackageDescription(size=PackageSize.SMALL, weight_kg=1.0),
    "heavy": PackageDescription(size=PackageSize.LARGE, weight_kg=8.0),
    "too heavy for its size": PackageDescription(size=PackageSize.SMALL, weight_kg=2.5),
    "too heavy for any drone": PackageDescription(size=PackageSize.LARGE, weight_kg=14.0),
}
DESIGNS = (
    DroneDesign(payload_kg=10.0, range_m=20_000.0, cruise_speed_mps=15.0),
    DroneDesign(payload_kg=3.0, range_m=10_000.0, cruise_speed_mps=10.0),
)
WHERE = {
    DroneActivity.IDLE: BASE,
    DroneActivity.CHARGING: BASE,
    DroneActivity.HEADING_TO_PICKUP: BASE,
    DroneActivity.HEADING_TO_DROPOFF: PICKUP,
    DroneActivity.AT_DROPOFF: DROPOFF,
}

NEXT_LEG = {
    DeliveryStage.CREATED: DroneActivity.HEADING_TO_PICKUP,
    DeliveryStage.RESCHEDULED: DroneActivity.HEADING_TO_PICKUP,
    DeliveryStage.HEADED_TO_PICKUP: DroneActivity.HEADING_TO_DROPOFF,
}


def _ids(partition: int) -> list[UUID]:
    numbered = (UUID(int=number) for number in count(1))
    return list(islice((one for one in numbered if partition_of(str(one), PARTITIONS) == partition), 3))


# The first two share a partition, so that their messages may share a batch.
DELIVERIES = {f"delivery {number}": key for number, key in enumerate([*_ids(0)[:2], _ids(1)[0]], 1)}
DRONES = {"drone 1": _ids(2)[0], "drone 2": _ids(2)[1]}
NAMES = {key: name for name, key in (DELIVERIES | DRONES).items()}


class How(StrEnum):
    """What happens to a transaction."""

    WELL = "well"
    CRASH_BEFORE_COMMIT = "it crashes before the commit"
    CRASH_AFTER_COMMIT = "it crashes after the commit"
    """Nothing of it is published or acknowledged. The next process sends what was left before anything new."""
    PARTNER_GOES_ON = "it crashes after the commit and its partner goes on"
    """The same, but another process handles what comes next, and sends what was left some time later."""
    CRASH_AFTER_PUBLISHING = "it crashes after publishing"
    """It does not know any more that it has published, and nothing is acknowledged."""
    ROWS_ARE_LOCKED = "while others hold the rows that it looks for"


@dataclass
class Leftover:
    """A row of an outbox that nobody is about to publish."""

    sent: Sent
    was_published: bool = False
    is_of_the_dead: bool = False
    """Its process died, and another one of the service goes on."""


class World:
    """Everything that a history happens to."""

    def __init__(
        self,
        *,
        drones: int = 1,
        clocks_ahead_s: tuple[int, int, int, int] = (0, 0, 0, 0),
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.now = START
        self.tell = tell
        consumers = (ingestion_consumer, package_consumer, scheduler_consumer, delivery_consumer)
        self.services = {
            one.service: Actor(one, timedelta(seconds=ahead_s))
            for one, ahead_s in zip(consumers, clocks_ahead_s, strict=True)
        }
        self.network = Network()
        self.sent: list[Sent] = []
        """All that was committed, in order."""
        self.left: dict[str, list[Leftover]] = {name: [] for name in self.services}
        self.accepted: list[str] = []
        """The deliveries that a customer was promised."""
        for name, design in list(zip(DRONES, DESIGNS, strict=True))[:drones]:
            self.command("drone-scheduler", RegisterDrone(DRONES[name], design, BASE, battery_percent=100.0))

    # What customers do.

    def request(
        self,
        package: str = "light",
        *,
        minutes: int = 60,
        expedited: bool = False,
        confirmation: ConfirmationType = ConfirmationType.NONE,
        how: How = How.WELL,
        answer_is_lost: bool = False,
    ) -> str | None:
        """Ask for a delivery; ask again, as a client with a key may, when no answer comes. None when it was in vain."""
        name = next(one for one in DELIVERIES if one not in self.accepted)
        command = SubmitDelivery(
            delivery_id=DELIVERIES[name],
            owner_id=OWNER,
            pickup=PICKUP,
            dropoff=DROPOFF,
            pickup_time=self.now,
            deadline=self.now + timedelta(minutes=minutes),
            expedited=expedited,
            confirmation_required=confirmation,
            package=PACKAGES[package],
            idempotency=Idempotency(DELIVERIES[name], package),
        )
        step = self.command("ingestion", command, how)
        if step is None:
            return None
        self.accepted.append(name)
        if answer_is_lost:
            again = replace(command, delivery_id=UUID(int=10_000 + len(self.accepted)))
            repeated = self.command("ingestion", again)
            assert repeated is not None
            (answer,) = repeated.results
            assert answer.is_replay, "a repeated request is accepted as another one"
            assert answer.delivery_id == DELIVERIES[name], "a repeated request is answered with another delivery"
        return name

    def cancel(self, delivery: str, how: How = How.WELL) -> None:
        """Cancel the delivery."""
        self.command("ingestion", CancelDelivery(DELIVERIES[delivery], OWNER), how)

    def reschedule(self, delivery: str, *, minutes: int = 90, how: How = How.WELL) -> None:
        """Ask for a later pickup and another deadline."""
        pickup_time, deadline = self.now + timedelta(minutes=5), self.now + timedelta(minutes=minutes)
        self.command("ingestion", RescheduleDelivery(DELIVERIES[delivery], OWNER, pickup_time, deadline), how)

    def ask_to_be_notified(self, delivery: str) -> None:
        """Ask to be told of everything that becomes of the delivery."""
        key, stages = DELIVERIES[delivery], tuple(DeliveryStage)
        wish = request_id_of(key, NotificationChannel.SMS, stages)
        self.command("delivery", AskToBeNotified(Viewer(OWNER), key, wish, NotificationChannel.SMS, stages))

    def confirm(
        self, delivery: str, confirmation: ConfirmationType = ConfirmationType.PICTURE, how: How = How.WELL
    ) -> None:
        """The recipient confirms the handover."""
        command = ConfirmHandover(Viewer(OWNER), DELIVERIES[delivery], confirmation, location=None, reference=None)
        self.command("delivery", command, how)

    def describe_package(self, delivery: str) -> None:
        """The owner describes a package of this id."""
        self.command(
            "package-service",
            DescribePackage(package_id=DELIVERIES[delivery], owner_id=OWNER, description=PACKAGES["light"]),
        )

    # What drones and their staff do.

    def report(
        self,
        drone: str,
        activity: DroneActivity,
        delivery: str | None = None,
        *,
        battery_percent: float = 90.0,
        seconds_ago: int = 0,
        over_http: bool = False,
    ) -> None:
        """A drone says where it is and what it is doing."""
        report = DroneTelemetryReported(
            drone_id=DRONES[drone],
            delivery_id=DELIVERIES[delivery] if delivery else None,
            activity=activity,
            location=WHERE[activity],
            speed_mps=10.0,
            battery_percent=battery_percent,
            observed_at=self.now - timedelta(seconds=seconds_ago),
        )
        if over_http:
            self.command("delivery", ReportTelemetry((report,)))
            return
        envelope = envelope_of(report, time=self.now)
        sent = Sent("fleet", report, Routed(str(report.topic), report.message_type, envelope))
        self.sent.append(sent)
        self.network.publish(sent)

    def fly_on(self, delivery: str) -> None:
        """The drone of a delivery reports that it is one leg further than the delivery service knows."""
        known = self.table(Delivery).get(DELIVERIES[delivery])
        if known is not None and known.drone_id is not None:
            activity = NEXT_LEG.get(known.stage, DroneActivity.AT_DROPOFF)
            self.report(NAMES[known.drone_id], activity, delivery)

    def ground(self, drone: str, how: How = How.WELL) -> None:
        """The staff takes a drone out of service."""
        self.command("drone-scheduler", GroundDrone(DRONES[drone]), how)

    def unground(self, drone: str, how: How = How.WELL) -> None:
        """The staff puts a drone into service again."""
        self.command("drone-scheduler", UngroundDrone(DRONES[drone]), how)

    # What the machinery does.

    def deliver(self, lane: str, events: int = 1, how: How = How.WELL) -> None:
        """The service takes so many messages from the front of a queue and handles them together."""
        queue = self.network.lanes[lane]
        actor = self.services[queue.subscription.service]
        batch = queue.waiting[:events]
        envelopes = [one.event.envelope for one in batch]
        locked = how is How.ROWS_ARE_LOCKED
        step = actor.messages(queue.subscription, envelopes, self.now, others_hold_rows=locked)
        self._tell(actor.name, ", ".join(step.heard) or "only duplicates", step, how)
        self._conclude(actor, step, how)
        if how in {How.WELL, How.ROWS_ARE_LOCKED}:
            del queue.waiting[: len(batch)]

    def keep_deadlines(self, service: str, how: How = How.WELL) -> None:
        """The service handles the rows that need attention by its clock."""
        actor = self.services[service]
        step = actor.due_rows(self.now)
        self._tell(service, "deadlines", step, how)
        self._conclude(actor, step, how)

    def tick(self, service: str, how: How = How.WELL) -> None:
        """The service does what it does every so often."""
        actor = self.services[service]
        step = actor.ticks(self.now, others_hold_rows=how is How.ROWS_ARE_LOCKED)
        self._tell(service, "tick", step, how)
        self._conclude(actor, step, how)

    def command(self, service: str, command: Any, how: How = How.WELL) -> Step | None:
        """Hand a command over. None when nobody was told that it has an effect."""
        actor = self.services[service]
        try:
            step = actor.command(command, self.now)
        except Refused as refusal:
            self.tell(f"    {service} refuses: {refusal}")
            return None
        (answer,) = step.results
        if isinstance(answer, Refusal):
            self.tell(f"    {service} refuses: {answer.kind}")
            return None
        self._tell(service, type(command).__name__, step, how)
        self._conclude(actor, step, how)
        return None if how is How.CRASH_BEFORE_COMMIT else step

    def send_what_is_left(self, service: str) -> None:
        """Publish what an earlier process did not, or did not know to have published."""
        left, self.left[service] = self.left[service], []
        self._send(left)

    def send_again(self, number: int) -> None:
        """Publish once more what was published long ago."""
        self.network.repeat(self.network.arrived[number])

    def pass_time(self, period: timedelta) -> None:
        self.now += period

    # How it comes to rest.

    def settle(self, *, but: str = "") -> None:
        """Deliver everything, but for one queue, as long as there is anything, while no time passes."""
        for _ in range(1_000):
            for name, left in self.left.items():
                if left:
                    self.send_what_is_left(name)
            busy = [lane for lane in self.network.busy_lanes if lane != but]
            if not busy:
                return
            for lane in busy:
                self.deliver(lane, events=len(self.network.lanes[lane].waiting))
        raise AssertionError("messages go round and round")

    def come_to_an_end(self) -> None:
        """Let time pass until nothing is left to be done, with all services well."""
        for _ in range(200):
            self.settle()
            due = [moment for one in self.services.values() if (moment := one.next_due()) is not None]
            if not due:
                return
            self.now = max(self.now, *due)
            for name, actor in self.services.items():
                if actor.overdue(self.now):
                    self.keep_deadlines(name)
                self.tick(name)
        raise AssertionError("something is always due again")

    def table(self, state: type) -> dict[UUID, Any]:
        """All rows of a state, whichever service keeps them."""
        (actor,) = (one for one in self.services.values() if state in one.tables)
        return actor.tables[state]

    def messages(self, kind: type[Message] | tuple[type[Message], ...], delivery: UUID | None = None) -> list[Sent]:
        """What was said of this kind, about one delivery or all."""
        return [
            one
            for one in self.sent
            if isinstance(one.message, kind) and (delivery is None or one.message.delivery_id == delivery)
        ]

    def _conclude(self, actor: Actor, step: Step, how: How) -> None:
        if how is How.CRASH_BEFORE_COMMIT:
            return
        actor.commit(step)
        self.sent += step.sent
        left = self.left[actor.name]
        match how:
            case How.CRASH_AFTER_COMMIT:
                left += [Leftover(one) for one in step.sent]
            case How.PARTNER_GOES_ON:
                left += [Leftover(one, is_of_the_dead=True) for one in step.sent]
            case _:
                # A process that has started again sends what it finds in its outbox before anything new. One that goes
                # on does so when it finds something of the sessions that it has something new of.
                has_found = self._finds_its_sessions(left, step.sent)
                first = [one for one in left if has_found or not one.is_of_the_dead]
                self.left[actor.name] = [one for one in left if one not in first]
                self._send([*first, *(Leftover(one) for one in step.sent)])
                if how is How.CRASH_AFTER_PUBLISHING:
                    self.left[actor.name] += [Leftover(one, was_published=True) for one in step.sent]

    @staticmethod
    def _finds_its_sessions(left: list[Leftover], sent: Sequence[Sent]) -> bool:
        sessions = {one.message.session_id for one in sent}
        return any(one.sent.message.session_id in sessions for one in left)

    def _send(self, rows: list[Leftover]) -> None:
        for row in rows:
            if row.was_published:
                self.network.repeat(row.sent)
            else:
                self.network.publish(row.sent)

    def _tell(self, service: str, heard: str, step: Step, how: How) -> None:
        said = ", ".join(f"{one.name} of {NAMES.get(one.message.session_id)}" for one in step.sent) or "nothing"
        self.tell(f"    {service}: {heard} -> {said}{'' if how is How.WELL else f'; {how}'}")
