"""Sends delivery requests over kept-alive HTTP connections, as fast as they are answered.

`python load.py HOST PORT REQUESTS CONNECTIONS` makes the requests, prints `ready`, waits for a line on its input, sends
them, and prints one JSON object: answers per second, their latency in milliseconds, and how many were not 202.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import uvloop


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
    content = json.dumps(body).encode()
    return (
        b"POST /api/v1/deliveryrequests HTTP/1.1\r\nHost: load\r\nX-Subject: alice\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    )


async def send(host: str, port: int, requests: Sequence[bytes], latencies_s: list[float]) -> int:
    """Send these requests one after the other. Returns how many were not accepted."""
    reader, writer = await asyncio.open_connection(host, port)
    refused = 0
    for request in requests:
        begin = time.perf_counter()
        writer.write(request)
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
    chance = random.Random(1)  # noqa: S311 - a load, not a secret
    made = [a_request(chance) for _ in range(requests)]
    latencies_s: list[float] = []
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.perf_counter()
    shares = (made[first::connections] for first in range(connections))
    refused = await asyncio.gather(*(send(host, port, share, latencies_s) for share in shares))
    elapsed_s = time.perf_counter() - begin
    latencies_s.sort()
    figures = {
        "accepted_per_s": round(len(latencies_s) / elapsed_s, 1),
        "accept_p50_ms": round(latencies_s[len(latencies_s) // 2] * 1e3, 1),
        "accept_p99_ms": round(latencies_s[int(len(latencies_s) * 0.99)] * 1e3, 1),
        "refused": sum(refused),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
