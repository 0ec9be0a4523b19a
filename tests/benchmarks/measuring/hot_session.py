"""Publishes many messages of one session to the broker, as fast as it confirms them.

`python -m measuring.hot_session DELIVERY MESSAGES` makes the messages, prints `ready`, waits for a line on its input,
publishes them in their order to the broker that BROKER_URL names, and prints one JSON object: how long that took, and
what the last of them asks for. Each asks for another pickup time of the same delivery, one second later than the last
one: the answer to the last tells whether it was handled as the last.
"""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aio_pika

from shared_contracts.ingestion.v1 import DeliveryRescheduleRequested
from shared_contracts.topology import PARTITIONS
from shared_runtime.envelope import JSON, Envelope, headers_of
from shared_runtime.partition import partition_of
from shared_runtime.testing import Broker, envelope_of

UNCONFIRMED = 100
OWNER = "alice"


def command(delivery_id: UUID, messages: int) -> list[str]:
    """What Python has to run for so many messages of this delivery."""
    return ["-m", "measuring.hot_session", str(delivery_id), str(messages)]


def message_of(envelope: Envelope) -> aio_pika.Message:
    """The event as a plain message."""
    return aio_pika.Message(
        bytes(envelope.data),
        headers=headers_of(envelope),
        content_type=JSON,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


async def main() -> None:
    """Publish what the command line asks for."""
    delivery_id, count = UUID(sys.argv[1]), int(sys.argv[2])
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    wishes = [
        DeliveryRescheduleRequested(
            delivery_id=delivery_id,
            owner_id=OWNER,
            pickup_time=first + timedelta(seconds=number),
            deadline=first + timedelta(hours=4, seconds=number),
        )
        for number in range(count)
    ]
    # All that can be done before is: the publication shares the processors with what is measured.
    messages = [message_of(envelope_of(wish)) for wish in wishes]
    key = f"{DeliveryRescheduleRequested.message_type}.{partition_of(str(delivery_id), PARTITIONS)}"
    async with Broker.connected(os.environ["BROKER_URL"]) as broker:
        exchange = await broker.channel.get_exchange(str(DeliveryRescheduleRequested.topic), ensure=False)
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        begin = time.perf_counter()
        # Within one channel the broker takes them in the order in which they were written, confirmed or not.
        for start in range(0, count, UNCONFIRMED):
            some = messages[start : start + UNCONFIRMED]
            await asyncio.gather(*(exchange.publish(message, key, mandatory=True) for message in some))
        elapsed_s = time.perf_counter() - begin
    print(json.dumps({"published_s": round(elapsed_s, 2), "last_pickup_time": wishes[-1].pickup_time.isoformat()}))


if __name__ == "__main__":
    asyncio.run(main())
