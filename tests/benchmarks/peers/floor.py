"""The floor: the suite's own hops, tables, rows and messages, as fast as we can write them with aio-pika and asyncpg.

`python -m peers.floor SERVICE`, on a database that the suite's migrations have made. Whatever has arrived is one batch:
one statement (inbox, state, outbox; so also one transaction), then one AMQP message with all its events, a CloudEvents
JSON batch. Messages are published from memory; the confirmed ones leave the outbox with the next batch, and what a
crash has left there is published at the start. An event that comes twice violates a constraint; only then the batch is
looked through for such.

It knows the way on which all goes well and no other: nothing is refused, waits in line, is tried again or set aside,
and the events of a delivery keep no order.
"""

# Nothing but the parts below is put into the statements.
# ruff: noqa: S608

import asyncio
import gc
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import aio_pika
import asyncpg
import msgspec
import uuid_utils
import uvicorn
import uvloop
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from fastapi import FastAPI, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from peers.work import PATH, setting

REQUESTED = "dronedelivery.ingestion.delivery_requested.v1"
READY = "dronedelivery.package_service.package_ready.v1"
BOOKED = "dronedelivery.drone_scheduler.drone_scheduled.v1"
SCHEDULED = "dronedelivery.delivery.delivery_scheduled.v1"
EXCHANGES = {REQUESTED: "delivery-requests", READY: "delivery", BOOKED: "delivery", SCHEDULED: "delivery-events"}
BATCH = "application/cloudevents-batch+json"
PREFETCH = 32
CANDIDATES = 3
EARTH_RADIUS_M = 6_371_008.8
OUTCOME_GRACE = timedelta(minutes=2)
PACKAGE_ANSWER_TIMEOUT = timedelta(minutes=15)
DRONE_ANSWER_GRACE = timedelta(seconds=30)
# Statements are planned once, for batches of any size, and are to walk the indexes: what the planner knows of tables
# that fill and empty all the time is out of date.
PLANS_ONCE = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_sort": "off", "jit": "off"}

# What every service does that publishes. Rows come as arrays of the tables' own types.
OUTBOX = """
    WITH confirmed AS (DELETE FROM outbox WHERE id = ANY($1::uuid[])),
    published AS (
        INSERT INTO outbox (id, exchange, routing_key, properties, body, created_at)
        SELECT $2, $3, $4, $5, $6::bytea, $7 WHERE $6 IS NOT NULL
    )"""
INBOX = "handled AS (INSERT INTO inbox SELECT $8::text, unnest($9::uuid[]), 0, $7)"
ACCEPT = f"""{OUTBOX},
    accepted AS (INSERT INTO delivery_request SELECT * FROM unnest($8::delivery_request[]))
    INSERT INTO delivery_progress SELECT * FROM unnest($9::delivery_progress[])"""
REGISTER = f"{OUTBOX}, {INBOX} INSERT INTO package SELECT * FROM unnest($10::package[])"
# Of the free drones around each errand the nearest that suit, as in drone_scheduler.
NEAREST = """
    SELECT errand.place, suited.*
    FROM unnest($1::float8[], $2::float8[], $3::float8[], $4::float8[])
        WITH ORDINALITY AS errand (latitude, longitude, weight_kg, distance_m, place)
    CROSS JOIN LATERAL (
        SELECT near.approach_m, near.drone_id::text, near.latitude, near.longitude, near.altitude_m,
            near.cruise_speed_mps
        FROM (
            SELECT *, great_circle_m(latitude, longitude, errand.latitude, errand.longitude) AS approach_m
            FROM drone WHERE status = 'Free'
            ORDER BY position <-> mercator(errand.latitude, errand.longitude)
            LIMIT 10 * $5
        ) near
        WHERE near.payload_kg >= errand.weight_kg AND near.usable_range_m >= errand.distance_m + near.approach_m
        LIMIT $5
    ) suited"""
# The drones were free when they were found. A booking of one that is not free any more violates a constraint.
BOOK = f"""{OUTBOX}, {INBOX},
    wanted AS MATERIALIZED (SELECT * FROM unnest($10::booking[])),
    held AS (
        UPDATE drone SET status = 'Booked', delivery_id = wanted.delivery_id
        FROM wanted WHERE drone.drone_id = wanted.drone_id
    )
    INSERT INTO booking SELECT * FROM wanted"""
JOINED = (
    "stage, due_at, tracking_events, scheduled_at, package_id, package_size, package_weight_kg, package_tag,"
    " confirmation_required, drone_id, drone_latitude, drone_longitude, drone_altitude_m, cruise_speed_mps,"
    " pickup_latitude, pickup_longitude, pickup_altitude_m, dropoff_latitude, dropoff_longitude, dropoff_altitude_m,"
    " pickup_time, deadline, expedited"
)
JOIN = f"""{OUTBOX}, {INBOX},
    begun AS (INSERT INTO delivery SELECT * FROM unnest($10::delivery[])),
    joined AS (
        UPDATE delivery SET ({JOINED}) = ROW (whole.{JOINED.replace(", ", ", whole.")})
        FROM unnest($11::delivery[]) AS whole WHERE delivery.delivery_id = whole.delivery_id
    )
    INSERT INTO tracking_event SELECT * FROM unnest($12::tracking_event[])"""
BEGUN = "SELECT * FROM delivery WHERE delivery_id = ANY($1::uuid[]) AND stage = 'Pending'"
CONCLUDE = """
    WITH handled AS (INSERT INTO inbox SELECT 'ingestion.delivery-events', unnest($1::uuid[]), 0, $2)
    UPDATE delivery_progress SET stage = 'Created', drone_id = told.drone_id, pickup_eta = told.pickup_eta,
        dropoff_eta = told.dropoff_eta, scheduled_at = told.occurred_at
    FROM unnest($3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
        AS told (delivery_id, drone_id, pickup_eta, dropoff_eta, occurred_at)
    WHERE delivery_progress.delivery_id = told.delivery_id"""
HANDLED = "SELECT message_id::text FROM inbox WHERE message_id = ANY($1::uuid[]) AND subscription = $2"

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Confirmation = Literal["FingerPrint", "Picture", "Voice", "None"]
Row = tuple[Any, ...]
Attributes = tuple[Literal["1.0"], str, str, str, datetime, str, str, str, str]
Data = TypeVar("Data")


class Place(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    altitude_m: Annotated[float, msgspec.Meta(ge=-500, le=10_000)] = 0.0


class Package(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    size: Literal["Small", "Medium", "Large"]
    weight_kg: Annotated[float, msgspec.Meta(gt=0, le=1_000)]
    tag: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Wish(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a request over HTTP."""

    pickup: Place
    dropoff: Place
    pickup_time: Instant
    deadline: Instant
    package: Package
    expedited: bool = False
    confirmation_required: Confirmation = "None"


class Known(msgspec.Struct, gc=False):
    """What the data of every event begins with."""

    delivery_id: str
    owner_id: str


class Requested(Known, gc=False):
    """The data of DeliveryRequested."""

    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    expedited: bool
    confirmation_required: Confirmation
    package: Package


class Ready(Known, gc=False):
    """The data of PackageReady."""

    package_id: str
    package: Package
    confirmation_required: Confirmation
    deadline: datetime


class Booked(Known, gc=False):
    """The data of DroneScheduled."""

    drone_id: str
    drone_location: Place
    cruise_speed_mps: float
    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    expedited: bool


class Scheduled(Known, gc=False):
    """The data of DeliveryScheduled."""

    occurred_at: datetime
    drone_id: str
    pickup_eta: datetime
    dropoff_eta: datetime


class Event(msgspec.Struct, Generic[Data], omit_defaults=True, gc=False):
    """A CloudEvent."""

    specversion: Literal["1.0"]
    type: str
    source: str
    id: str
    time: datetime
    sessionid: str
    subject: str
    correlationid: str
    causationid: str
    data: Data
    expiresat: datetime | None = None


read_wish = msgspec.json.Decoder(Wish).decode
write = msgspec.json.Encoder().encode


def new_id() -> str:
    """A UUID version 7: made one after the other they are neighbours in an index."""
    return str(uuid_utils.uuid7())


def attributes(message_type: str, source: str, now: datetime, delivery_id: str, cause: str) -> Attributes:
    """The attributes of a new event about a delivery, to which all that becomes of it correlates."""
    return "1.0", message_type, source, new_id(), now, delivery_id, delivery_id, delivery_id, cause


def columns_of(*values: Place | Package) -> Row:
    """Their fields, one after the other, as they are in the tables."""
    return tuple(field for value in values for field in msgspec.structs.astuple(value))


def distance_m(start: Place, end: Place) -> float:
    """Metres along the great circle, by the haversine formula."""
    latitude, other_latitude = radians(start.latitude), radians(end.latitude)
    across = sin((other_latitude - latitude) / 2) ** 2
    along = sin(radians(end.longitude - start.longitude) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(across + cos(latitude) * cos(other_latitude) * along)))


class Outbox:
    """Commits events of one type with the rows that they tell of, then publishes them in the background.

    The task group ends the process when the broker does not take them.
    """

    def __init__(
        self, database: asyncpg.Connection, exchange: AbstractExchange, message_type: str, tasks: asyncio.TaskGroup
    ) -> None:
        self._database, self._exchange, self._message_type, self._tasks = database, exchange, message_type, tasks
        self._confirmed: list[str] = []

    async def commit(self, statement: str, now: datetime, events: Sequence[Event[Any]], *parameters: Any) -> None:
        """Run a statement that begins with OUTBOX. Without events there is no message."""
        confirmed, outbox_id = tuple(self._confirmed), new_id()
        route = (self._exchange.name, self._message_type)
        properties = f'{{"content_type":"{BATCH}","message_id":"{outbox_id}"}}'
        body = write(events) if events else None
        await self._database.execute(statement, confirmed, outbox_id, *route, properties, body, now, *parameters)
        del self._confirmed[: len(confirmed)]
        if body is not None:
            self._tasks.create_task(self._publish(outbox_id, body))

    async def publish_leftovers(self) -> None:
        """Publish what an earlier process has committed and not seen confirmed."""
        for outbox_id, body in await self._database.fetch("SELECT id::text, body FROM outbox ORDER BY position"):
            self._tasks.create_task(self._publish(outbox_id, body))

    async def _publish(self, outbox_id: str, body: bytes) -> None:
        persistent = aio_pika.DeliveryMode.PERSISTENT
        message = aio_pika.Message(body, content_type=BATCH, delivery_mode=persistent, message_id=outbox_id)
        await self._exchange.publish(message, routing_key=self._message_type, timeout=60)
        self._confirmed.append(outbox_id)


class Service:
    """What handles the events of one subscription, whose queue has the same name."""

    name: ClassVar[str]
    subscription: ClassVar[str]
    publishes: ClassVar[str]
    decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]]
    """By the type of the events, which is the same within a message, and its routing key."""

    def __init__(self, database: asyncpg.Connection, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    async def handle(self, events: Sequence[Any]) -> None:
        """Commit what a batch leads to. Raises IntegrityConstraintViolationError when some of it is known."""
        raise NotImplementedError

    async def unhandled(self, events: Sequence[Any]) -> list[Any]:
        """The events that were not handled before, each once."""
        rows = await self._database.fetch(HANDLED, [event.id for event in events], self.subscription)
        known = {row[0] for row in rows}
        return list({event.id: event for event in events if event.id not in known}.values())

    async def consume(self, channel: AbstractChannel) -> None:
        """Handle whatever has arrived, as one batch, again and again. Acknowledges what is committed."""
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await (await channel.get_queue(self.subscription)).consume(arrived.put)
        while True:
            messages = [await arrived.get()]
            while not arrived.empty():
                messages.append(arrived.get_nowait())
            events = [
                event for message in messages for event in self.decoders[message.routing_key or ""].decode(message.body)
            ]
            try:
                await self.handle(events)
            except asyncpg.IntegrityConstraintViolationError:
                if events := await self.unhandled(events):
                    await self.handle(events)
            await messages[-1].ack(multiple=True)

    async def _commit(
        self,
        statement: str,
        now: datetime,
        answers: Sequence[Event[Any]],
        events: Sequence[Event[Any]],
        *rows: Sequence[Row],
    ) -> None:
        handled = [event.id for event in events]
        await self._outbox.commit(statement, now, answers, self.subscription, handled, *rows)

    def _because_of(self, event: Event[Any], now: datetime) -> Attributes:
        return attributes(self.publishes, f"/services/{self.name}", now, event.subject, event.id)


class Ingestion(Service):
    """Tells the requests what became of them."""

    name, subscription = "ingestion", "ingestion.delivery-events"
    publishes = REQUESTED
    decoders: ClassVar = {SCHEDULED: msgspec.json.Decoder(list[Event[Scheduled]])}

    async def handle(self, events: Sequence[Event[Scheduled]]) -> None:
        told = [event.data for event in events]
        rows = ((one.delivery_id, one.drone_id, one.pickup_eta, one.dropoff_eta, one.occurred_at) for one in told)
        handled = [event.id for event in events]
        await self._database.execute(CONCLUDE, handled, datetime.now(UTC), *zip(*rows, strict=True))


class PackageService(Service):
    """Registers packages."""

    name, subscription = "package-service", "package-service.delivery-requests"
    publishes = READY
    decoders: ClassVar = {REQUESTED: msgspec.json.Decoder(list[Event[Requested]])}

    async def handle(self, events: Sequence[Event[Requested]]) -> None:
        now, rows, answers = datetime.now(UTC), list[Row](), list[Event[Any]]()
        for event in events:
            asked, one = event.data, event.subject
            how = asked.confirmation_required
            rows.append((one, asked.owner_id, "Ready", *columns_of(asked.package), how, None, now, now))
            ready = Ready(one, asked.owner_id, one, asked.package, how, asked.deadline)
            answers.append(Event(*self._because_of(event, now), ready))
        await self._commit(REGISTER, now, answers, events, rows)


class DroneScheduler(Service):
    """Books the nearest free drone that suits."""

    name, subscription = "drone-scheduler", "drone-scheduler.delivery-requests"
    publishes = BOOKED
    decoders = PackageService.decoders

    async def handle(self, events: Sequence[Event[Requested]]) -> None:
        lengths_m = [distance_m(event.data.pickup, event.data.dropoff) for event in events]
        drones = await self._allot(events, lengths_m)
        now, rows, answers = datetime.now(UTC), list[Row](), list[Event[Any]]()
        for event, length_m, drone in zip(events, lengths_m, drones, strict=True):
            asked, one = event.data, event.subject
            pickup, dropoff, times = asked.pickup, asked.dropoff, (asked.pickup_time, asked.deadline)
            _, _, drone_id, latitude, longitude, altitude_m, speed_mps = drone
            held = (one, asked.owner_id, "Booked", drone_id, None, asked.expedited)
            errand = (event.time, asked.package.weight_kg, length_m, *columns_of(pickup, dropoff), *times)
            rows.append((*held, *errand, None, None, None, None))
            plan = (Place(latitude, longitude, altitude_m), speed_mps, pickup, dropoff, *times, asked.expedited)
            booked = Booked(one, asked.owner_id, drone_id, *plan)
            answers.append(Event(*self._because_of(event, now), booked))
        await self._commit(BOOK, now, answers, events, rows)

    async def _allot(self, events: Sequence[Event[Requested]], lengths_m: Sequence[float]) -> Iterable[Row]:
        """A drone for each, expedited ones first. Looks further for those whose candidates others have taken."""
        errands = [
            (event.data.pickup.latitude, event.data.pickup.longitude, event.data.package.weight_kg, length_m)
            for event, length_m in zip(events, lengths_m, strict=True)
        ]
        allotted: dict[int, Row] = {}
        taken: set[str] = set()
        left = sorted(range(len(events)), key=lambda place: not events[place].data.expedited)
        count = CANDIDATES
        while left:
            candidates: dict[int, list[Row]] = {}
            columns = zip(*(errands[place] for place in left), strict=True)
            for row in await self._database.fetch(NEAREST, *columns, count):
                candidates.setdefault(left[row[0] - 1], []).append(tuple(row))
            for place in left:
                for drone in sorted(candidates[place], key=itemgetter(1)):
                    if drone[2] not in taken:
                        taken.add(drone[2])
                        allotted[place] = drone
                        break
            left = [place for place in left if place not in allotted]
            count *= 4
        return (allotted[place] for place in range(len(events)))


class Delivery(Service):
    """Joins package and drone. Keeps in mind which deliveries wait for their other half."""

    name, subscription = "delivery", "delivery.delivery"
    publishes = SCHEDULED
    decoders: ClassVar = {
        READY: msgspec.json.Decoder(list[Event[Ready]]),
        BOOKED: msgspec.json.Decoder(list[Event[Booked]]),
    }

    def __init__(self, database: asyncpg.Connection, outbox: Outbox) -> None:
        super().__init__(database, outbox)
        self._begun: dict[str, Ready | Booked] = {}

    async def handle(self, events: Sequence[Event[Ready] | Event[Booked]]) -> None:
        now, first = datetime.now(UTC), dict[str, Ready | Booked]()
        inserted, updated, history, answers = list[Row](), list[Row](), list[Row](), list[Event[Any]]()
        for event in events:
            one, half, rows = event.subject, event.data, inserted
            other = first.pop(one, None)
            if other is None:
                other, rows = self._begun.get(one), updated
            if isinstance(half, Ready) and isinstance(other, Booked):
                ready, booked = half, other
            elif isinstance(half, Booked) and isinstance(other, Ready):
                ready, booked = other, half
            else:
                # The first half, or the same again, which the inbox is going to refuse.
                first[one] = half
                continue
            rows.append(delivery_row(half, ready, booked, now))
            entry_id = str(uuid_utils.uuid5(uuid_utils.UUID(one), "1"))
            history.append((entry_id, one, 1, "StageEntered", "Created", now, None, None, None, ""))
            scheduled = Scheduled(one, half.owner_id, now, booked.drone_id, *arrivals(booked, now))
            answers.append(Event(*self._because_of(event, now), scheduled))
        for half in first.values():
            package, plan = (half, None) if isinstance(half, Ready) else (None, half)
            inserted.append(delivery_row(half, package, plan, now))
        await self._commit(JOIN, now, answers, events, inserted, updated, history)
        self._begun.update(first)
        for row in updated:
            del self._begun[row[0]]

    async def unhandled(self, events: Sequence[Any]) -> list[Any]:
        """As for any service. What another process has begun of these deliveries is kept in mind from now on."""
        left = await super().unhandled(events)
        for row in await self._database.fetch(BEGUN, [event.subject for event in left]):
            self._begun[str(row["delivery_id"])] = half_of(row)
        return left


def delivery_row(half: Ready | Booked, ready: Ready | None, booked: Booked | None, now: datetime) -> Row:
    """The row of a delivery of which `half` came last, or alone."""
    package: Row = (None,) * 5
    plan: Row = (None,) * 14
    if ready is not None:
        package = (ready.package_id, *columns_of(ready.package), ready.confirmation_required)
        plan = (*(None,) * 12, ready.deadline, None)
    if booked is not None:
        drone = (booked.drone_id, *columns_of(booked.drone_location), booked.cruise_speed_mps)
        times = (booked.pickup_time, booked.deadline, booked.expedited)
        plan = (*drone, *columns_of(booked.pickup, booked.dropoff), *times)
    if ready is not None and booked is not None:
        standing = ("Created", now, booked.deadline, 1)
    elif ready is not None:
        standing = ("Pending", now, ready.deadline + DRONE_ANSWER_GRACE, 0)
    else:
        standing = ("Pending", now, min(now + PACKAGE_ANSWER_TIMEOUT, half.deadline), 0)
    scheduled_at = now if standing[0] == "Created" else None
    whose = (half.delivery_id, half.owner_id)
    return (*whose, *standing, *package, *plan, None, None, scheduled_at, *(None,) * 9, 0.0, *(None,) * 10)


def half_of(row: asyncpg.Record) -> Ready | Booked:
    """The half that a waiting delivery's row was made of."""
    whose = (str(row["delivery_id"]), row["owner_id"])
    if row["package_id"] is not None:
        package = Package(row["package_size"], row["package_weight_kg"], row["package_tag"])
        return Ready(*whose, whose[0], package, row["confirmation_required"], row["deadline"])
    drone, pickup, dropoff = (
        Place(row[f"{name}_latitude"], row[f"{name}_longitude"], row[f"{name}_altitude_m"])
        for name in ("drone", "pickup", "dropoff")
    )
    times = (row["pickup_time"], row["deadline"])
    drone_id, speed_mps = str(row["drone_id"]), row["cruise_speed_mps"]
    return Booked(*whose, drone_id, drone, speed_mps, pickup, dropoff, *times, row["expedited"])


def arrivals(booked: Booked, now: datetime) -> tuple[datetime, datetime]:
    """When the drone is expected at the pickup and at the drop-off."""
    approach_s = distance_m(booked.drone_location, booked.pickup) / booked.cruise_speed_mps
    flight_s = distance_m(booked.pickup, booked.dropoff) / booked.cruise_speed_mps
    pickup_eta = max(now + timedelta(seconds=approach_s), booked.pickup_time)
    return pickup_eta, pickup_eta + timedelta(seconds=flight_s)


class Intake:
    """Requests that wait together share one commit."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: list[tuple[str, str, Wish]] = []
        self._wake = asyncio.Event()
        self._accepted_at: asyncio.Future[bytes] = asyncio.Future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the request is durable. An ASGI application, as small as a route of FastAPI can be."""
        body, is_complete = b"", False
        while not is_complete:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            is_complete = not part.get("more_body")
        owner_id = dict(scope["headers"]).get(b"x-subject", b"").decode("ascii", "replace")
        try:
            wish = read_wish(body)
            if not owner_id or not datetime.now(UTC) < wish.deadline > wish.pickup_time:
                raise ValueError("nobody asks, or the deadline is past, or not after the pickup time")
            if distance_m(wish.pickup, wish.dropoff) < 1:
                raise ValueError("the drop-off is the pickup")
        except ValueError as error:
            await Response(str(error), status_code=422)(scope, receive, send)
            return
        delivery_id = new_id()
        self._waiting.append((delivery_id, owner_id, wish))
        self._wake.set()
        accepted_at = await self._accepted_at
        url = f"{PATH}/{delivery_id}".encode()
        answer = b'{"delivery_id":"%s","accepted_at":%s,"status_url":"%s"}' % (delivery_id.encode(), accepted_at, url)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
            (b"location", url),
            (b"retry-after", b"2"),
        ]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def run(self) -> None:
        """Commit whoever waits, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            committed, self._accepted_at = self._accepted_at, asyncio.Future()
            now, requests, progress, events = datetime.now(UTC), list[Row](), list[Row](), list[Event[Any]]()
            for one, owner_id, wish in waiting:
                pickup, dropoff, times = wish.pickup, wish.dropoff, (wish.pickup_time, wish.deadline)
                how = (wish.expedited, wish.confirmation_required)
                places, package = columns_of(pickup, dropoff), columns_of(wish.package)
                requests.append((one, owner_id, now, *places, *times, *how, *package))
                due_at = wish.deadline + OUTCOME_GRACE
                progress.append((one, owner_id, *times, due_at, 0, "Pending", *(None,) * 11))
                requested = Requested(one, owner_id, pickup, dropoff, *times, *how, wish.package)
                cause = attributes(REQUESTED, "/services/ingestion", now, one, new_id())
                events.append(Event(*cause, requested, wish.deadline))
            await self._outbox.commit(ACCEPT, now, events, requests, progress)
            committed.set_result(write(now))


class App(FastAPI):
    """An application that finds its routes by their paths, without the layers that only FastAPI's own kind needs."""

    def build_middleware_stack(self) -> ASGIApp:
        """What a request passes."""
        routes = {("POST", route.path): route.app for route in self.routes if isinstance(route, Route)}

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await routes.get((scope["method"], scope["path"]), self.router)(scope, receive, send)

        return answer


SERVICES: Sequence[type[Service]] = (Ingestion, PackageService, DroneScheduler, Delivery)


async def run(kind: type[Service]) -> None:
    """Run one service until it is killed."""
    broker = [await aio_pika.connect(setting("BROKER_URL")) for _ in ("publish", "consume")]
    channel = await broker[1].channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    # All queues are there before anybody publishes.
    for service in SERVICES:
        queue = await channel.declare_queue(service.subscription, durable=True, arguments={"x-queue-type": "quorum"})
        for message_type in service.decoders:
            await queue.bind(EXCHANGES[message_type], message_type)
    exchange = await (await broker[0].channel(on_return_raises=True)).get_exchange(EXCHANGES[kind.publishes])
    async with asyncio.TaskGroup() as tasks:
        databases = [await asyncpg.connect(setting("DATABASE_URL"), server_settings=PLANS_ONCE) for _ in range(2)]
        outbox = Outbox(databases[0], exchange, kind.publishes, tasks)
        await outbox.publish_leftovers()
        tasks.create_task(kind(databases[1], outbox).consume(channel))
        # What is there by now stays, and next to nothing of what comes later is in a cycle.
        gc.freeze()
        gc.set_threshold(100_000)
        print("ready", flush=True)
        if kind is Ingestion:
            await serve(Intake(outbox), tasks)


async def serve(intake: Intake, tasks: asyncio.TaskGroup) -> None:
    """Take requests over HTTP."""
    tasks.create_task(intake.run())
    app = App(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    app.router.routes.append(Route(PATH, intake, methods=["POST"]))
    options: Any = {"access_log": False, "lifespan": "off", "proxy_headers": False, "server_header": False}
    await uvicorn.Server(uvicorn.Config(app, port=int(setting("PORT")), **options)).serve()


if __name__ == "__main__":
    uvloop.run(run(next(kind for kind in SERVICES if kind.name.replace("-", "_") == sys.argv[1])))
