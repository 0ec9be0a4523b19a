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

from shared_contracts.ingestion.v1 import DeliveryRescheduleRequested
from shared_runtime.testing import Broker, envelope_of

UNCONFIRMED = 100
OWNER = "alice"


def command(delivery_id: UUID, messages: int) -> list[str]:
    """What Python has to run for so many messages of this delivery."""
    return ["-m", "measuring.hot_session", str(delivery_id), str(messages)]


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
    topic = str(DeliveryRescheduleRequested.topic)
    async with Broker.connected(os.environ["BROKER_URL"]) as broker:
        print("ready", flush=True)
        if not sys.stdin.readline():
            return
        begin = time.perf_counter()
        # Within one channel the broker takes them in the order in which they were written, confirmed or not.
        for start in range(0, count, UNCONFIRMED):
            envelopes = map(envelope_of, wishes[start : start + UNCONFIRMED])
            await asyncio.gather(*(broker.publish_envelope(envelope, topic) for envelope in envelopes))
        elapsed_s = time.perf_counter() - begin
    print(json.dumps({"published_s": round(elapsed_s, 2), "last_pickup_time": wishes[-1].pickup_time.isoformat()}))


if __name__ == "__main__":
    asyncio.run(main())
