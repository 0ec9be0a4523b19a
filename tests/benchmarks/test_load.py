"""The load at a rate of its own: when requests are due, that a stall is not hidden, and no idle connection is lost."""

import asyncio
import json
import random
import statistics
from itertools import pairwise

import load
import pytest
from load import Answers, Connection, arrivals_s, connections_needed, send_at_rate
from measuring.percentiles import percentile

STALL_S = 0.5
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


def seeded() -> random.Random:
    """The same load whenever the test runs."""
    return random.Random(1)  # noqa: S311 - nothing secret


def test_requests_are_due_at_the_rate_that_was_asked_for() -> None:
    due_s = arrivals_s(200, 20_000, seeded())
    assert len(due_s) == 20_000
    assert due_s == sorted(due_s)
    assert due_s[-1] == pytest.approx(100, rel=0.03)


def test_requests_are_due_at_random() -> None:
    due_s = arrivals_s(100, 20_000, seeded())
    gaps_s = [later - earlier for earlier, later in pairwise(due_s)]
    # Of a Poisson process the standard deviation of the gaps is their mean.
    assert statistics.stdev(gaps_s) == pytest.approx(statistics.fmean(gaps_s), rel=0.05)


def test_the_same_chance_makes_the_same_load() -> None:
    assert arrivals_s(100, 50, seeded()) == arrivals_s(100, 50, seeded())


class Stalling:
    """A server that answers at once, apart from one request that it makes wait, and everybody behind it."""

    def __init__(self, status: bytes = b"202 Accepted", keep_alive_s: float | None = None) -> None:
        self.status, self.keep_alive_s = status, keep_alive_s
        self.answered = self.opened = 0
        self._turn = asyncio.Lock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        try:
            while True:
                async with asyncio.timeout(self.keep_alive_s):
                    await reader.readuntil(b"\r\n\r\n")
                async with self._turn:
                    self.answered += 1
                    if self.answered == 20:
                        await asyncio.sleep(STALL_S)
                body = json.dumps({"delivery_id": f"delivery-{self.answered}"}).encode()
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (self.status, len(body)) + body)
        except (asyncio.IncompleteReadError, TimeoutError):
            writer.close()


async def sent_to(stalling: Stalling, *, requests: int, rate_per_s: float, connections: int) -> Answers:
    """What came back."""
    answers = Answers()
    async with await asyncio.start_server(stalling.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        open_ones = [await Connection.to("127.0.0.1", port) for _ in range(connections)]
        due_s = [number / rate_per_s for number in range(requests)]
        async with asyncio.timeout(30):
            await send_at_rate(open_ones, [REQUEST] * requests, due_s, answers)
        for connection in open_ones:
            connection.close()
    return answers


@pytest.mark.parametrize("connections", [1, 100])
async def test_who_is_due_during_a_stall_has_waited_too(connections: int) -> None:
    answers = await sent_to(Stalling(), requests=200, rate_per_s=200, connections=connections)
    # Half a second at 200 per second: a hundred of two hundred are due meanwhile, and wait a quarter on average.
    waited = [latency_s for latency_s in answers.latencies_s if latency_s > STALL_S / 5]
    assert len(waited) >= 60
    assert percentile(sorted(answers.latencies_s), 0.99) > STALL_S * 0.8


async def test_a_busy_connection_makes_requests_late_and_says_so() -> None:
    answers = await sent_to(Stalling(), requests=60, rate_per_s=200, connections=1)
    assert max(answers.lateness_s) > STALL_S / 2


async def test_every_accepted_delivery_has_the_moment_it_was_due() -> None:
    answers = await sent_to(Stalling(), requests=30, rate_per_s=300, connections=10)
    due_ns = answers.figures(1.0)["due_ns"]
    assert len(due_ns) == 30
    moments = sorted(due_ns.values())
    assert (moments[-1] - moments[0]) / 1e9 == pytest.approx(29 / 300, abs=1e-6)


async def test_what_is_refused_is_counted_and_has_no_moment() -> None:
    answers = await sent_to(Stalling(b"503 Service Unavailable"), requests=10, rate_per_s=1_000, connections=2)
    figures = answers.figures(1.0)
    assert figures["refused"] == 10
    assert figures["due_ns"] == {}


async def test_a_connection_is_opened_anew_before_the_server_closes_it_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LONGEST_IDLE_S", 0.1)
    impatient = Stalling(keep_alive_s=0.3)
    answers = await sent_to(impatient, requests=5, rate_per_s=2, connections=2)
    assert len(answers.accepted) == 5
    assert impatient.opened > 2


async def test_a_connection_that_is_used_is_kept() -> None:
    patient = Stalling()
    await sent_to(patient, requests=200, rate_per_s=400, connections=3)
    assert patient.opened == 3


@pytest.mark.parametrize(
    ("most", "rate_per_s", "needed"), [(400, 1_000, 400), (400, 99.5, 100), (400, 2, 10), (5, 100, 5), (5, 2, 5)]
)
def test_a_low_rate_needs_few_connections(most: int, rate_per_s: float, needed: int) -> None:
    assert connections_needed(most, rate_per_s) == needed
