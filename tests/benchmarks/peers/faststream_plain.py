"""Plain FastStream: every handler commits its row and then publishes what follows. No outbox, no inbox.

`python -m peers.faststream_plain SERVICE`. Quorum queues, persistent messages, publisher confirms, acknowledgement
after the handler. A process that dies between commit and publication is made good by the redelivery of its message,
but for the intake: there, a request can be stored and never be told of.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI, Header, Response
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitExchange, RabbitQueue, RabbitRouter
from faststream.rabbit.schemas import ExchangeType
from pydantic import BaseModel

from peers.work import BOOK_DRONE, JOIN_DELIVERY, PATH, UPSERT_PACKAGE, Package, Place, Wish, setting

PREFETCH = 100
CONNECTIONS = 10

REQUESTED = RabbitExchange("delivery-requested", ExchangeType.FANOUT, durable=True)
ANSWERED = RabbitExchange("delivery", ExchangeType.TOPIC, durable=True)
SCHEDULED = RabbitExchange("delivery-scheduled", ExchangeType.FANOUT, durable=True)


class DeliveryRequested(BaseModel):
    delivery_id: UUID
    pickup: Place
    dropoff: Place
    package: Package


class PackageReady(BaseModel):
    delivery_id: UUID
    weight_kg: float


class DroneScheduled(BaseModel):
    delivery_id: UUID
    drone_id: UUID


class DeliveryScheduled(BaseModel):
    delivery_id: UUID
    drone_id: UUID


class Rows:
    """The database of the service that this process is."""

    pool: asyncpg.Pool


def queue(name: str, routing_key: str = "") -> RabbitQueue:
    """A durable quorum queue."""
    return RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM, routing_key=routing_key)


rows = Rows()
broker = RabbitBroker(setting("BROKER_URL") or None, default_channel=Channel(prefetch_count=PREFETCH), logger=None)
routers = {name: RabbitRouter() for name in ("ingestion", "package_service", "drone_scheduler", "delivery")}
requested = broker.publisher(exchange=REQUESTED, persist=True)


@routers["package_service"].subscriber(queue("packages"), REQUESTED, ack_policy=AckPolicy.NACK_ON_ERROR)
@routers["package_service"].publisher(exchange=ANSWERED, routing_key="ready", persist=True)
async def register_package(event: DeliveryRequested) -> PackageReady:
    """Store the package."""
    package = event.package
    statement = UPSERT_PACKAGE.format(delivery_id="$1", size="$2", weight_kg="$3", tag="$4")
    await rows.pool.execute(statement, event.delivery_id, package.size, package.weight_kg, package.tag)
    return PackageReady(delivery_id=event.delivery_id, weight_kg=package.weight_kg)


@routers["drone_scheduler"].subscriber(queue("bookings"), REQUESTED, ack_policy=AckPolicy.NACK_ON_ERROR)
@routers["drone_scheduler"].publisher(exchange=ANSWERED, routing_key="scheduled", persist=True)
async def book_drone(event: DeliveryRequested) -> DroneScheduled:
    """Book a free drone."""
    drone_id = await rows.pool.fetchval(BOOK_DRONE.format(delivery_id="$1::uuid"), event.delivery_id)
    return DroneScheduled(delivery_id=event.delivery_id, drone_id=drone_id)


scheduled = routers["delivery"].publisher(exchange=SCHEDULED, persist=True)


@routers["delivery"].subscriber(queue("delivery-ready", "ready"), ANSWERED, ack_policy=AckPolicy.NACK_ON_ERROR)
async def on_package_ready(event: PackageReady) -> None:
    """Keep the package's half."""
    await join(event.delivery_id, event.weight_kg, None)


@routers["delivery"].subscriber(queue("delivery-booked", "scheduled"), ANSWERED, ack_policy=AckPolicy.NACK_ON_ERROR)
async def on_drone_scheduled(event: DroneScheduled) -> None:
    """Keep the drone's half."""
    await join(event.delivery_id, None, event.drone_id)


async def join(delivery_id: UUID, weight_kg: float | None, drone_id: UUID | None) -> None:
    """Keep one half, and tell when it was the second."""
    statement = JOIN_DELIVERY.format(delivery_id="$1", weight_kg="$2", drone_id="$3")
    known = await rows.pool.fetchrow(statement, delivery_id, weight_kg, drone_id)
    assert known is not None
    if known["weight_kg"] is not None and known["drone_id"] is not None:
        await scheduled.publish(DeliveryScheduled(delivery_id=delivery_id, drone_id=known["drone_id"]))


@routers["ingestion"].subscriber(queue("requests"), SCHEDULED, ack_policy=AckPolicy.NACK_ON_ERROR)
async def on_delivery_scheduled(event: DeliveryScheduled) -> None:
    """Tell the request."""
    await rows.pool.execute("UPDATE request SET status = 'Created' WHERE delivery_id = $1", event.delivery_id)


@asynccontextmanager
async def database() -> AsyncIterator[None]:
    """The service's connections."""
    async with asyncpg.create_pool(setting("DATABASE_URL"), min_size=CONNECTIONS, max_size=CONNECTIONS) as rows.pool:
        yield


@asynccontextmanager
async def consuming(_: FastAPI) -> AsyncIterator[None]:
    """The broker beside the HTTP interface."""
    async with database(), broker:
        await broker.start()
        yield


app = FastAPI(lifespan=consuming)


@app.post(PATH, status_code=202)
async def accept(wish: Wish, response: Response, x_subject: Annotated[str, Header()]) -> None:
    """Store the request and tell of it."""
    delivery_id = uuid4()
    statement = "INSERT INTO request (delivery_id, owner_id, wish) VALUES ($1, $2, $3)"
    await rows.pool.execute(statement, delivery_id, x_subject, wish.model_dump_json())
    await requested.publish(
        DeliveryRequested(delivery_id=delivery_id, pickup=wish.pickup, dropoff=wish.dropoff, package=wish.package)
    )
    response.headers["location"] = f"{PATH}/{delivery_id}"


async def main(service: str) -> None:
    """Run one service until it is killed."""
    broker.include_router(routers[service])
    if service == "ingestion":
        config = uvicorn.Config(app, port=int(setting("PORT")), access_log=False)
        await uvicorn.Server(config).serve()
        return
    async with database():
        application = FastStream(broker)
        application.after_startup(lambda: print("Application startup complete.", flush=True))
        await application.run()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
