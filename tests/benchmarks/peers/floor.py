"""The floor: the same hops and rows, as fast as we can write them with aio-pika and asyncpg, and nothing around them.

`python -m peers.floor SERVICE`. Whatever has arrived is one batch: one statement (inbox, state, outbox; so also one
transaction), then one AMQP message with all its events, a CloudEvents JSON batch. Messages are published from memory;
the confirmed ones leave the outbox with the next batch, and what a crash has left there is published at the start.
An event that comes twice violates a constraint; only then the batch is looked through for such.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import aio_pika
import asyncpg
import msgspec
import uvicorn
import uvloop
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from fastapi import FastAPI, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uuid_utils import uuid7

from peers.work import PATH, setting

REQUESTED, READY, BOOKED, SCHEDULED = "DeliveryRequested", "PackageReady", "DroneScheduled", "DeliveryScheduled"
SUBSCRIPTIONS = {
    "ingestion": [SCHEDULED],
    "package_service": [REQUESTED],
    "drone_scheduler": [REQUESTED],
    "delivery": [READY, BOOKED],
}
PREFETCH = 32
DRONES_READ = 4_000

ACCEPT = """
    WITH gone AS (DELETE FROM outbox WHERE outbox_id = ANY($1::uuid[])),
    accepted AS (
        INSERT INTO request (delivery_id, owner_id, wish)
        SELECT * FROM unnest($4::uuid[], $5::text[], $6::jsonb[])
    )
    INSERT INTO outbox (outbox_id, message_type, body) VALUES ($2, 'DeliveryRequested', $3)"""
REGISTER = """
    WITH gone AS (DELETE FROM outbox WHERE outbox_id = ANY($1::uuid[])),
    handled AS (INSERT INTO inbox (event_id) SELECT unnest($4::uuid[])),
    registered AS (
        INSERT INTO package (delivery_id, size, weight_kg, tag)
        SELECT * FROM unnest($5::uuid[], $6::text[], $7::float8[], $8::text[])
        ON CONFLICT (delivery_id) DO UPDATE
        SET size = EXCLUDED.size, weight_kg = EXCLUDED.weight_kg, tag = EXCLUDED.tag
    )
    INSERT INTO outbox (outbox_id, message_type, body) VALUES ($2, 'PackageReady', $3)"""
FREE_DRONES = "SELECT drone_id FROM drone WHERE delivery_id IS NULL ORDER BY drone_id LIMIT $1"
# The drones were free when they were read. A booking of one that is not free any more violates a unique constraint.
BOOK = """
    WITH gone AS (DELETE FROM outbox WHERE outbox_id = ANY($1::uuid[])),
    handled AS (INSERT INTO inbox (event_id) SELECT unnest($4::uuid[])),
    taken AS (
        UPDATE drone SET delivery_id = pair.delivery_id
        FROM unnest($5::uuid[], $6::uuid[]) AS pair (delivery_id, drone_id) WHERE drone.drone_id = pair.drone_id
    ),
    booked AS (INSERT INTO booking (delivery_id, drone_id) SELECT * FROM unnest($5::uuid[], $6::uuid[]))
    INSERT INTO outbox (outbox_id, message_type, body) VALUES ($2, 'DroneScheduled', $3)"""
JOIN = """
    WITH gone AS (DELETE FROM outbox WHERE outbox_id = ANY($1::uuid[])),
    handled AS (INSERT INTO inbox (event_id) SELECT unnest($3::uuid[])),
    joined AS (
        INSERT INTO delivery AS known (delivery_id, weight_kg, drone_id)
        SELECT * FROM unnest($4::uuid[], $5::float8[], $6::uuid[])
        ON CONFLICT (delivery_id) DO UPDATE SET
            weight_kg = coalesce(EXCLUDED.weight_kg, known.weight_kg),
            drone_id = coalesce(EXCLUDED.drone_id, known.drone_id)
        RETURNING delivery_id, weight_kg, drone_id
    )
    INSERT INTO outbox (outbox_id, message_type, body)
    SELECT $2, 'DeliveryScheduled', convert_to('[' || string_agg(
        '{"specversion":"1.0","type":"DeliveryScheduled","source":"/delivery","id":"' || uuidv7()
        || '","subject":"' || delivery_id || '","data":{"drone_id":"' || drone_id || '"}}', ',') || ']', 'UTF8')
    FROM joined WHERE weight_kg IS NOT NULL AND drone_id IS NOT NULL HAVING count(*) > 0
    RETURNING body"""
CONCLUDE = """
    WITH handled AS (INSERT INTO inbox (event_id) SELECT unnest($1::uuid[]))
    UPDATE request SET status = 'Created'
    FROM unnest($2::uuid[]) AS scheduled (delivery_id) WHERE request.delivery_id = scheduled.delivery_id"""


class Place(msgspec.Struct):
    latitude: float
    longitude: float


class Package(msgspec.Struct):
    size: str
    weight_kg: float
    tag: str


class Wish(msgspec.Struct):
    pickup: Place
    dropoff: Place
    pickup_time: datetime
    deadline: datetime
    package: Package


class Data(msgspec.Struct, omit_defaults=True):
    """What any of the events holds besides the delivery's id, which is its subject."""

    package: Package | None = None
    pickup: Place | None = None
    dropoff: Place | None = None
    weight_kg: float | None = None
    drone_id: str | None = None


class Event(msgspec.Struct):
    type: str
    source: str
    id: str
    subject: str
    data: Data
    specversion: str = "1.0"


Handler = Callable[[list[Event]], Awaitable[None]]
read_wish = msgspec.json.Decoder(Wish).decode
read_events = msgspec.json.Decoder(list[Event]).decode
write_events = msgspec.json.Encoder().encode


def new_id() -> str:
    """A UUID version 7: made one after the other they are neighbours in an index."""
    return str(uuid7())


class Publisher:
    """Publishes committed events in the background, and knows which outbox rows the broker has confirmed."""

    def __init__(self, exchange: AbstractExchange, tasks: asyncio.TaskGroup) -> None:
        self._exchange, self._tasks = exchange, tasks
        self._confirmed: list[str] = []

    def publish(self, outbox_id: str, message_type: str, body: bytes) -> None:
        """Publish a committed row. The task group ends the process when the broker does not take it."""
        self._tasks.create_task(self._publish(outbox_id, message_type, body))

    def confirmed(self) -> list[str]:
        """The rows that may be deleted, each told once."""
        confirmed, self._confirmed = self._confirmed, []
        return confirmed

    async def _publish(self, outbox_id: str, message_type: str, body: bytes) -> None:
        message = aio_pika.Message(
            body,
            content_type="application/cloudevents-batch+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=outbox_id,
        )
        await self._exchange.publish(message, routing_key=message_type, timeout=60)
        self._confirmed.append(outbox_id)


class Service:
    """One service: a connection to its database, one to publish and one to consume."""

    def __init__(self, database: asyncpg.Connection, publisher: Publisher) -> None:
        self.database, self.publisher = database, publisher
        self._drones: list[Any] = []

    async def on_requested_package(self, events: list[Event]) -> None:
        """Register the packages."""
        packages = [event.data.package for event in events if event.data.package]
        deliveries = [event.subject for event in events]
        body = write_events(
            [
                Event(READY, "/package_service", new_id(), delivery_id, Data(weight_kg=package.weight_kg))
                for delivery_id, package in zip(deliveries, packages, strict=True)
            ]
        )
        columns = zip(*((one.size, one.weight_kg, one.tag) for one in packages), strict=True)
        await self._record(REGISTER, READY, body, [event.id for event in events], deliveries, *columns)

    async def on_requested_drone(self, events: list[Event]) -> None:
        """Book a free drone for each."""
        if len(self._drones) < len(events):
            rows = await self.database.fetch(FREE_DRONES, DRONES_READ + len(events))
            self._drones = [row[0] for row in rows]
        drones, self._drones = self._drones[: len(events)], self._drones[len(events) :]
        deliveries = [event.subject for event in events]
        body = write_events(
            [
                Event(BOOKED, "/drone_scheduler", new_id(), delivery_id, Data(drone_id=str(drone_id)))
                for delivery_id, drone_id in zip(deliveries, drones, strict=True)
            ]
        )
        await self._record(BOOK, BOOKED, body, [event.id for event in events], deliveries, drones)

    async def on_half(self, events: list[Event]) -> None:
        """Join the halves, and tell which deliveries are scheduled."""
        halves: dict[str, Data] = {}
        for event in events:
            known = halves.setdefault(event.subject, event.data)
            known.weight_kg = known.weight_kg or event.data.weight_kg
            known.drone_id = known.drone_id or event.data.drone_id
        outbox_id = new_id()
        body = await self.database.fetchval(
            JOIN,
            self.publisher.confirmed(),
            outbox_id,
            [event.id for event in events],
            list(halves),
            [half.weight_kg for half in halves.values()],
            [half.drone_id for half in halves.values()],
        )
        if body is not None:
            self.publisher.publish(outbox_id, SCHEDULED, body)

    async def on_scheduled(self, events: list[Event]) -> None:
        """Tell the requests."""
        await self.database.execute(CONCLUDE, [event.id for event in events], [event.subject for event in events])

    async def unhandled(self, events: list[Event]) -> list[Event]:
        """The events that were not handled before, each once."""
        query = "SELECT event_id::text FROM inbox WHERE event_id = ANY($1::uuid[])"
        known = {row[0] for row in await self.database.fetch(query, [event.id for event in events])}
        self._drones.clear()
        return list({event.id: event for event in events if event.id not in known}.values())

    async def _record(self, statement: str, message_type: str, body: bytes, *columns: Any) -> None:
        outbox_id = new_id()
        await self.database.execute(statement, self.publisher.confirmed(), outbox_id, body, *columns)
        self.publisher.publish(outbox_id, message_type, body)


async def consume(channel: AbstractChannel, name: str, service: Service, handle: Handler) -> None:
    """Handle whatever has arrived, as one batch, again and again. Acknowledges what is committed."""
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    queue = await channel.get_queue(name)
    await queue.consume(arrived.put)
    while True:
        messages = [await arrived.get()]
        while not arrived.empty():
            messages.append(arrived.get_nowait())
        events = [event for message in messages for event in read_events(message.body)]
        try:
            await handle(events)
        except (asyncpg.UniqueViolationError, asyncpg.CardinalityViolationError):
            if events := await service.unhandled(events):
                await handle(events)
        await messages[-1].ack(multiple=True)


class Intake:
    """Requests that wait together share one commit."""

    def __init__(self, database: asyncpg.Connection, publisher: Publisher) -> None:
        self._database, self._publisher = database, publisher
        self._waiting: list[tuple[str, str, str, Event]] = []
        self._committed = asyncio.Event()
        self._wake = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the request is durable. An ASGI application, as small as a route of FastAPI can be."""
        body, is_complete = b"", False
        while not is_complete:
            part = await receive()
            if part["type"] == "http.disconnect":
                return
            body += part.get("body", b"")
            is_complete = not part.get("more_body")
        owner_id = dict(scope["headers"]).get(b"x-subject", b"").decode()
        try:
            wish = read_wish(body)
        except msgspec.DecodeError as error:
            await Response(str(error), status_code=422)(scope, receive, send)
            return
        delivery_id, event_id = new_id(), new_id()
        data = Data(wish.package, wish.pickup, wish.dropoff)
        event = Event(REQUESTED, "/ingestion", event_id, delivery_id, data)
        self._waiting.append((delivery_id, owner_id, body.decode(), event))
        self._wake.set()
        await self._committed.wait()
        headers = [(b"location", f"{PATH}/{delivery_id}".encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body"})

    async def run(self) -> None:
        """Commit whoever waits, again and again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            committed, self._committed = self._committed, asyncio.Event()
            deliveries, owners, wishes, events = zip(*waiting, strict=True)
            outbox_id, body = new_id(), write_events(events)
            await self._database.execute(
                ACCEPT, self._publisher.confirmed(), outbox_id, body, deliveries, owners, wishes
            )
            self._publisher.publish(outbox_id, REQUESTED, body)
            committed.set()


@asynccontextmanager
async def running(name: str) -> AsyncIterator[tuple[Publisher, asyncio.TaskGroup]]:
    """The service consumes, until the block ends."""
    broker = [await aio_pika.connect(setting("BROKER_URL")) for _ in ("publish", "consume")]
    channel = await broker[1].channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    exchange = await (await broker[0].channel(on_return_raises=True)).declare_exchange("events", "direct", durable=True)
    # All queues are there before anybody publishes.
    for service, types in SUBSCRIPTIONS.items():
        queue = await channel.declare_queue(service, durable=True, arguments={"x-queue-type": "quorum"})
        for message_type in types:
            await queue.bind("events", message_type)
    database = await asyncpg.connect(setting("DATABASE_URL"))
    async with asyncio.TaskGroup() as tasks:
        publisher = Publisher(exchange, tasks)
        for row in await database.fetch("SELECT outbox_id, message_type, body FROM outbox ORDER BY recorded_at"):
            publisher.publish(str(row["outbox_id"]), row["message_type"], row["body"])
        service_ = Service(database, publisher)
        handlers: dict[str, Handler] = {
            "ingestion": service_.on_scheduled,
            "package_service": service_.on_requested_package,
            "drone_scheduler": service_.on_requested_drone,
            "delivery": service_.on_half,
        }
        tasks.create_task(consume(channel, name, service_, handlers[name]))
        print("ready", flush=True)
        yield publisher, tasks


async def serve(name: str) -> None:
    """Run one service until it is killed."""
    async with running(name) as (publisher, tasks):
        if name == "ingestion":
            intake = Intake(await asyncpg.connect(setting("DATABASE_URL")), publisher)
            tasks.create_task(intake.run())
            app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
            app.router.routes.append(Route(PATH, intake, methods=["POST"]))
            options: Any = {"access_log": False, "lifespan": "off", "proxy_headers": False, "server_header": False}
            config = uvicorn.Config(app, port=int(setting("PORT")), **options)
            await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
