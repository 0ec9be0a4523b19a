"""Sends delivery requests over kept-alive HTTP connections: as fast as they are answered, or at a rate of its own.

`python load.py HOST PORT[,PORT...] REQUESTS CONNECTIONS [RATE]` makes the requests, prints `ready`, waits for a line on
its input, sends them, and prints one JSON object: answers per second, their latency in milliseconds, and how many were
not 202.

Without a rate each connection sends its next request when the last one was answered. With a rate (requests per second)
each request is due at a moment that was drawn before, as if from many customers who know nothing of each other, and its
latency counts from that moment: when answers stall, or all connections are busy, the requests that are due meanwhile
have waited, too. A low rate has fewer connections, because servers close those that are idle. The object then has
`due_ns` as well: by delivery id, the moment (time.monotonic_ns) it was due.
"""

import asyncio
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

import uvloop
from measuring.percentiles import percentile

Due = tuple[int, bytes]
"""When a request is due (time.monotonic_ns), and the request."""
LONGEST_IDLE_S = 2.0
"""uvicorn closes a connection that was idle for 5 s, and a request that is on its way then is lost."""
FEWEST_CONNECTIONS = 10
"""So that at a low rate, too, hardly anybody waits for a connection."""


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


def arrivals_s(rate_per_s: float, count: int, chance: random.Random) -> list[float]:
    """When each of so many requests is due, in seconds from the begin: a Poisson process of this rate."""
    due_s, arrivals = 0.0, []
    for _ in range(count):
        due_s += chance.expovariate(rate_per_s)
        arrivals.append(due_s)
    return arrivals


def connections_needed(most: int, rate_per_s: float) -> int:
    """As many as are used by turns within a second, so that few are idle until they have to be opened anew."""
    return min(most, max(math.ceil(rate_per_s), FEWEST_CONNECTIONS))


@dataclass
class Answers:
    """What has come back."""

    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0
    accepted: list[tuple[int, bytes]] = field(default_factory=list)
    """When a request was due, and the body of its 202."""
    lateness_s: list[float] = field(default_factory=list)
    """How long after it was due a request was sent."""

    def figures(self, elapsed_s: float) -> dict[str, Any]:
        """What is printed."""
        ordered_s = sorted(self.latencies_s)
        figures: dict[str, Any] = {
            "accepted_per_s": round(len(ordered_s) / elapsed_s, 1),
            "accept_p50_ms": round(percentile(ordered_s, 0.5) * 1e3, 1),
            "accept_p99_ms": round(percentile(ordered_s, 0.99) * 1e3, 1),
            "refused": self.refused,
        }
        if self.lateness_s:
            figures["sent_late_p99_ms"] = round(percentile(sorted(self.lateness_s), 0.99) * 1e3, 1)
            figures["due_ns"] = {json.loads(body)["delivery_id"]: due_ns for due_ns, body in self.accepted}
        return figures


class Connection:
    """One customer's kept-alive connection."""

    def __init__(self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host, self._port, self._reader, self._writer = host, port, reader, writer

    @classmethod
    async def to(cls, host: str, port: int) -> "Connection":
        """Connect."""
        return cls(host, port, *await asyncio.open_connection(host, port))

    async def renew(self) -> None:
        """Connect anew."""
        self.close()
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def ask(self, request: bytes) -> tuple[bool, bytes]:
        """Send the request. Returns whether it was accepted, and the body of the answer."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return b" 202 " in head[:20], await self._reader.readexactly(int(length or 0))

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def send(connection: Connection, requests: Sequence[bytes], answers: Answers) -> None:
    """Send these requests one after the other."""
    for request in requests:
        begin = time.perf_counter()
        is_accepted, _ = await connection.ask(request)
        answers.latencies_s.append(time.perf_counter() - begin)
        answers.refused += not is_accepted


async def send_due(connection: Connection, waiting: "asyncio.Queue[Due | None]", answers: Answers) -> None:
    """Send what is due, whenever this connection is free for it, until None comes."""
    while (due := await next_due(connection, waiting)) is not None:
        due_ns, request = due
        answers.lateness_s.append((time.monotonic_ns() - due_ns) / 1e9)
        is_accepted, body = await connection.ask(request)
        answers.latencies_s.append((time.monotonic_ns() - due_ns) / 1e9)
        if is_accepted:
            answers.accepted.append((due_ns, body))
        else:
            answers.refused += 1


async def next_due(connection: Connection, waiting: "asyncio.Queue[Due | None]") -> Due | None:
    """What is due next. While this connection has nothing to do, it is opened anew before the server closes it."""
    while True:
        try:
            async with asyncio.timeout(LONGEST_IDLE_S):
                return await waiting.get()
        except TimeoutError:
            await connection.renew()


async def send_at_rate(
    connections: Sequence[Connection], requests: Sequence[bytes], due_s: Sequence[float], answers: Answers
) -> None:
    """Send each request when it is due, or as soon after that as a connection is free."""
    waiting: asyncio.Queue[Due | None] = asyncio.Queue()
    senders = [asyncio.create_task(send_due(connection, waiting, answers)) for connection in connections]
    begin_ns = time.monotonic_ns()
    for offset_s, request in zip(due_s, requests, strict=True):
        due_ns = begin_ns + int(offset_s * 1e9)
        left_s = (due_ns - time.monotonic_ns()) / 1e9
        await asyncio.sleep(max(left_s, 0.0))
        waiting.put_nowait((due_ns, request))
    for _ in senders:
        waiting.put_nowait(None)
    await asyncio.gather(*senders)


async def main() -> None:
    """Drive the load that the command line asks for."""
    host, ports = sys.argv[1], [int(port) for port in sys.argv[2].split(",")]
    requests, count = map(int, sys.argv[3:5])
    rate_per_s = float(sys.argv[5]) if len(sys.argv) > 5 else None
    chance = random.Random(1)  # noqa: S311 - a load, not a secret
    made = [a_request(chance) for _ in range(requests)]
    due_s = arrivals_s(rate_per_s, requests, chance) if rate_per_s else []
    count = connections_needed(count, rate_per_s) if rate_per_s else count
    connections = await asyncio.gather(*(Connection.to(host, port) for port in islice(cycle(ports), count)))
    answers = Answers()
    print("ready", flush=True)
    if not sys.stdin.readline():
        return
    begin = time.perf_counter()
    if due_s:
        await send_at_rate(connections, made, due_s, answers)
    else:
        shares = (made[first::count] for first in range(count))
        await asyncio.gather(*(send(one, share, answers) for one, share in zip(connections, shares, strict=True)))
    elapsed_s = time.perf_counter() - begin
    for connection in connections:
        connection.close()
    print(json.dumps(answers.figures(elapsed_s)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
