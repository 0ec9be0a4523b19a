"""The proxies do what their faults say, and nothing when there is no fault."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from faultline.postgres_wire import ServerStream
from faultline.tcp_proxy import Protocol, ProxyFarm

from local_stack.ports import LOOPBACK


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", 4 + len(body)) + body


COMMITTED = message(b"C", b"COMMIT\x00") + message(b"Z", b"I")


@pytest.fixture
def farm() -> Iterator[ProxyFarm]:
    farm = ProxyFarm()
    yield farm
    farm.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo; and say what PostgreSQL says when it is asked to commit."""
    while data := await reader.read(1024):
        writer.write(COMMITTED if data == b"commit" else data)
        await writer.drain()
    writer.close()


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, LOOPBACK)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"hello")
    assert await reader.read(100) == b"hello"
    return reader, writer


async def test_everything_passes_without_a_fault(farm: ProxyFarm, port: int) -> None:
    proxy = farm.open("somebody", Protocol.AMQP, port)
    reader, writer = await opened(proxy.port)
    writer.write_eof()
    assert await reader.read() == b""
    assert (proxy.counters.connections, proxy.counters.resets) == (1, 0)
    writer.close()


async def test_a_reset_reaches_the_client_as_one(farm: ProxyFarm, port: int) -> None:
    proxy = farm.open("somebody", Protocol.AMQP, port)
    reader, writer = await opened(proxy.port)
    assert farm.call(proxy.reset_all) == 1
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    writer.close()


async def test_a_half_closed_connection_ends_in_one_direction_and_swallows_the_other(
    farm: ProxyFarm, port: int
) -> None:
    proxy = farm.open("somebody", Protocol.AMQP, port)
    reader, writer = await opened(proxy.port)
    assert farm.call(proxy.half_close_all) == 1
    assert await reader.read() == b""
    writer.write(b"is anybody there?")
    await writer.drain()
    assert proxy.counters.half_closed == 1
    writer.close()


async def test_a_delay_is_one(farm: ProxyFarm, port: int) -> None:
    proxy = farm.open("somebody", Protocol.AMQP, port)
    reader, writer = await opened(proxy.port)
    proxy.delay_s = 0.1
    begun_at = asyncio.get_running_loop().time()
    writer.write(b"again")
    assert await reader.read(100) == b"again"
    assert asyncio.get_running_loop().time() - begun_at >= 0.2
    writer.close()


async def test_the_answer_to_a_commit_is_swallowed_with_its_connection(farm: ProxyFarm, port: int) -> None:
    proxy = farm.open("somebody", Protocol.POSTGRESQL, port)
    proxy.commit_replies_to_drop = 1
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(b"commit")
    with pytest.raises(ConnectionResetError):
        await reader.read(1)
    assert (proxy.counters.commit_replies_dropped, proxy.commit_replies_to_drop) == (1, 0)
    writer.close()


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 60])
def test_a_commit_is_seen_however_it_is_cut(piece: int) -> None:
    stream = ServerStream()
    stream.client_says(struct.pack("!ii", 8, 80877103))
    rows = message(b"T", b"x" * 40) + message(b"C", b"SELECT 1\x00") + message(b"Z", b"T")
    said = b"N" + rows + COMMITTED + rows + COMMITTED
    seen = [stream.has_commit(said[start : start + piece]) for start in range(0, len(said), piece)]
    assert sum(seen) == 2


def test_a_roll_back_is_no_commit() -> None:
    stream = ServerStream()
    stream.client_says(b"\x00\x00\x00\x08\x00\x03\x00\x00")
    assert not stream.has_commit(message(b"C", b"ROLLBACK\x00") + message(b"Z", b"I"))
