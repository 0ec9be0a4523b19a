"""FastStream with the usual outbox and inbox: one transaction per message, a relay that polls and publishes the rows.

`python -m peers.faststream_outbox SERVICE`. Quorum queues, persistent messages, publisher confirms, acknowledgement
after the commit. An outbox row is deleted when the broker has confirmed its message.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI, Header, Response
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue, RabbitRouter
from pydantic import BaseModel, Field

from peers.work import BOOK_DRONE, JOIN_DELIVERY, PATH, UPSERT_PACKAGE, Package, Place, Wish, setting

PREFETCH = 100
CONNECTIONS = 10
RELAY_ROWS = 100
RELAY_INTERVAL_S = 0.05

EVENTS = RabbitExchange("events", ExchangeType.TOPIC, durable=True)


class Event(BaseModel):
    event_id: UUID = Field(default_factory=uuid4)
    delivery_id: UUID


class DeliveryRequested(Event):
    pickup: Place
    dropoff: Place
    package: Package


class PackageReady(Event):
    weight_kg: float


class DroneScheduled(Event):
    drone_id: UUID


class DeliveryScheduled(Event):
    drone_id: UUID


class Rows:
    """The database of the service that this process is."""

    pool: asyncpg.Pool


def queue(name: str, event: type[Event]) -> RabbitQueue:
    """A durable quorum queue of such events."""
    return RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM, routing_key=event.__name__)


@asynccontextmanager
async def handling(event: Event) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy | None]:
    """The transaction that handles the event; None when it was handled before."""
    async with rows.pool.acquire() as connection, connection.transaction():
        statement = "INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING"
        status = await connection.execute(statement, event.event_id)
        yield connection if status == "INSERT 0 1" else None


async def record(connection: asyncpg.pool.PoolConnectionProxy, event: Event) -> None:
    """Put the event into the outbox."""
    statement = "INSERT INTO outbox (message_type, body) VALUES ($1, $2)"
    await connection.execute(statement, type(event).__name__, event.model_dump_json().encode())


rows = Rows()
broker = RabbitBroker(setting("BROKER_URL") or None, default_channel=Channel(prefetch_count=PREFETCH), logger=None)
routers = {name: RabbitRouter() for name in ("ingestion", "package_service", "drone_scheduler", "delivery")}
NACK = AckPolicy.NACK_ON_ERROR


@routers["package_service"].subscriber(queue("packages", DeliveryRequested), EVENTS, ack_policy=NACK)
async def register_package(event: DeliveryRequested) -> None:
    """Store the package."""
    package = event.package
    statement = UPSERT_PACKAGE.format(delivery_id="$1", size="$2", weight_kg="$3", tag="$4")
    async with handling(event) as connection:
        if connection:
            await connection.execute(statement, event.delivery_id, package.size, package.weight_kg, package.tag)
            await record(connection, PackageReady(delivery_id=event.delivery_id, weight_kg=package.weight_kg))


@routers["drone_scheduler"].subscriber(queue("bookings", DeliveryRequested), EVENTS, ack_policy=NACK)
async def book_drone(event: DeliveryRequested) -> None:
    """Book a free drone."""
    async with handling(event) as connection:
        if connection:
            drone_id = await connection.fetchval(BOOK_DRONE.format(delivery_id="$1::uuid"), event.delivery_id)
            await record(connection, DroneScheduled(delivery_id=event.delivery_id, drone_id=drone_id))


@routers["delivery"].subscriber(queue("delivery-ready", PackageReady), EVENTS, ack_policy=NACK)
async def on_package_ready(event: PackageReady) -> None:
    """Keep the package's half."""
    await join(event, event.weight_kg, None)


@routers["delivery"].subscriber(queue("delivery-booked", DroneScheduled), EVENTS, ack_policy=NACK)
async def on_drone_scheduled(event: DroneScheduled) -> None:
    """Keep the drone's half."""
    await join(event, None, event.drone_id)


async def join(event: Event, weight_kg: float | None, drone_id: UUID | None) -> None:
    """Keep one half, and tell when it was the second."""
    statement = JOIN_DELIVERY.format(delivery_id="$1", weight_kg="$2", drone_id="$3")
    async with handling(event) as connection:
        if connection:
            known = await connection.fetchrow(statement, event.delivery_id, weight_kg, drone_id)
            if known and known["weight_kg"] is not None and known["drone_id"] is not None:
                scheduled = DeliveryScheduled(delivery_id=event.delivery_id, drone_id=known["drone_id"])
                await record(connection, scheduled)


@routers["ingestion"].subscriber(queue("requests", DeliveryScheduled), EVENTS, ack_policy=NACK)
async def on_delivery_scheduled(event: DeliveryScheduled) -> None:
    """Tell the request."""
    async with handling(event) as connection:
        if connection:
            statement = "UPDATE request SET status = 'Created' WHERE delivery_id = $1"
            await connection.execute(statement, event.delivery_id)


async def relay() -> None:
    """Publish what is in the outbox, again and again."""
    due = "SELECT * FROM outbox ORDER BY outbox_id LIMIT $1 FOR UPDATE SKIP LOCKED"
    while True:
        async with rows.pool.acquire() as connection, connection.transaction():
            found = await connection.fetch(due, RELAY_ROWS)
            await asyncio.gather(*map(publish, found))
            done = [row["outbox_id"] for row in found]
            await connection.execute("DELETE FROM outbox WHERE outbox_id = ANY($1)", done)
        if len(found) < RELAY_ROWS:
            await asyncio.sleep(RELAY_INTERVAL_S)


async def publish(row: Any) -> None:
    """Publish an outbox row."""
    json = "application/json"
    await broker.publish(row["body"], exchange=EVENTS, routing_key=row["message_type"], persist=True, content_type=json)


@asynccontextmanager
async def relaying(_: FastAPI | None = None) -> AsyncIterator[None]:
    """The service's connections, and its relay."""
    pool = asyncpg.create_pool(setting("DATABASE_URL"), min_size=CONNECTIONS, max_size=CONNECTIONS)
    async with pool as rows.pool, broker, asyncio.TaskGroup() as tasks:
        await broker.start()
        relaying = tasks.create_task(relay())
        yield
        relaying.cancel()


app = FastAPI(lifespan=relaying)


@app.post(PATH, status_code=202)
async def accept(wish: Wish, response: Response, x_subject: Annotated[str, Header()]) -> None:
    """Store the request, and that it is to be told of."""
    delivery_id = uuid4()
    statement = "INSERT INTO request (delivery_id, owner_id, wish) VALUES ($1, $2, $3)"
    event = DeliveryRequested(delivery_id=delivery_id, pickup=wish.pickup, dropoff=wish.dropoff, package=wish.package)
    async with rows.pool.acquire() as connection, connection.transaction():
        await connection.execute(statement, delivery_id, x_subject, wish.model_dump_json())
        await record(connection, event)
    response.headers["location"] = f"{PATH}/{delivery_id}"


async def main(service: str) -> None:
    """Run one service until it is killed."""
    broker.include_router(routers[service])
    if service == "ingestion":
        config = uvicorn.Config(app, port=int(setting("PORT")), access_log=False)
        await uvicorn.Server(config).serve()
        return
    async with relaying():
        application = FastStream(broker)
        application.after_startup(lambda: print("Application startup complete.", flush=True))
        await application.run()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
