"""Starts one service: `python -m peers.floor SERVICE`."""

import asyncio
import gc
import sys
from collections.abc import Sequence

import aio_pika
import asyncpg
import uvloop

from peers.floor.delivery import Delivery
from peers.floor.drone_scheduler import DroneScheduler
from peers.floor.ingestion import Ingestion
from peers.floor.intake import Intake, serve
from peers.floor.messages import EXCHANGES
from peers.floor.outbox import Outbox
from peers.floor.package_service import PackageService
from peers.floor.service import Service
from peers.floor.statements import PLANS_ONCE
from peers.work import setting

PREFETCH = 32
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


if __name__ == "__main__":
    uvloop.run(run(next(kind for kind in SERVICES if kind.name.replace("-", "_") == sys.argv[1])))
