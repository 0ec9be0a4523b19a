"""Sends delivery requests over kept-alive HTTP connections, as fast as they are answered.

`python load.py HOST PORT REQUESTS CONNECTIONS` prints one JSON object: answers per second, their latency in
milliseconds, and how many were not 202.
"""

import asyncio
import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta


def a_request(chance: random.Random) -> bytes:
    """A small package within one town, to be picked up in a minute."""
    now = datetime.now(UTC)

    def place() -> dict[str, float]:
        return {"latitude": 47.3 + chance.random() * 0.2, "longitude": 8.4 + chance.random() * 0.2}

    body = {
        "pickup": place(),
        "dropoff": place(),
        "pickup_time": (now + timedelta(minutes=1)).isoformat(),
        "deadline": (now + timedelta(hours=5)).isoformat(),
        "package": {"size": "Small", "weight_kg": 1.0, "tag": "food"},
    }
    return json.dumps(body).encode()


async def send(host: str, port: int, count: int, chance: random.Random, latencies_s: list[float]) -> int:
    """Send `count` requests one after the other. Returns how many were not accepted."""
    reader, writer = await asyncio.open_connection(host, port)
    refused = 0
    for _ in range(count):
        body = a_request(chance)
        begin = time.perf_counter()
        writer.write(
            b"POST /api/v1/deliveryrequests HTTP/1.1\r\nHost: load\r\nX-Subject: alice\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        latencies_s.append(time.perf_counter() - begin)
        refused += b" 202 " not in head[:20]
    writer.close()
    return refused


async def main() -> None:
    """Drive the load that the command line asks for."""
    host, port, requests, connections = sys.argv[1], *map(int, sys.argv[2:5])
    latencies_s: list[float] = []
    chance = random.Random(1)  # noqa: S311 - a load, not a secret
    begin = time.perf_counter()
    each = requests // connections
    refused = await asyncio.gather(*(send(host, port, each, chance, latencies_s) for _ in range(connections)))
    elapsed_s = time.perf_counter() - begin
    latencies_s.sort()
    figures = {
        "accepted_per_s": round(len(latencies_s) / elapsed_s, 1),
        "p50_ms": round(latencies_s[len(latencies_s) // 2] * 1e3, 1),
        "p99_ms": round(latencies_s[int(len(latencies_s) * 0.99)] * 1e3, 1),
        "refused": sum(refused),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
