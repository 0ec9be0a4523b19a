"""TCP proxies between the services and their servers, for faults that only a network has.

They run in a thread with an event loop of its own, so that a busy driver does not slow the suite down.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from faultline.postgres_wire import ServerStream
from local_stack.ports import LOOPBACK

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024
CALL_TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Protocol(StrEnum):
    """What is spoken through a proxy."""

    AMQP = "amqp"
    POSTGRESQL = "postgresql"


@dataclass
class Counters:
    """What the proxy did to its connections."""

    connections: int = 0
    resets: int = 0
    half_closed: int = 0
    delayed_chunks: int = 0
    commit_replies_dropped: int = 0


@dataclass(eq=False)
class _Link:
    """One client's connection and the one behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    replies: ServerStream | None
    is_half_closed: bool = False

    def reset(self) -> None:
        """Cut both with a TCP reset."""
        for writer in (self.client, self.server):
            connection: socket.socket | None = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                if connection is not None:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def half_close(self) -> None:
        """Tell the client that nothing more will come, and swallow whatever it still says."""
        self.is_half_closed = True
        with contextlib.suppress(OSError, RuntimeError):
            self.client.write_eof()


@dataclass(eq=False)
class TcpProxy:
    """One listening port before one server."""

    protocol: Protocol
    target_port: int
    port: int = 0
    """Where it listens; chosen by the system when it starts."""
    delay_s: float = 0.0
    """How long every piece is kept, in both directions."""
    commit_replies_to_drop: int = 0
    """How many answers to COMMIT are yet to be swallowed, each together with its connection."""
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut everything and listen no more."""
        if self._server is not None:
            self._server.close()
        self.reset_all()

    def reset_all(self) -> int:
        """Cut every connection with a TCP reset. Returns how many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        self.counters.resets += len(links)
        return len(links)

    def half_close_all(self) -> int:
        """Half-close every connection. Returns how many there were."""
        links = [link for link in self._links if not link.is_half_closed]
        for link in links:
            link.half_close()
        self.counters.half_closed += len(links)
        return len(links)

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            client.transport.abort()
            return
        replies = ServerStream() if self.protocol is Protocol.POSTGRESQL else None
        link = _Link(client, server, replies)
        self._links.add(link)
        self.counters.connections += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, client_reader, server, from_server=False))
                tasks.create_task(self._pump(link, server_reader, client, from_server=True))
        except* OSError:
            link.reset()
        finally:
            self._links.discard(link)
            for writer in (client, server):
                writer.close()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            if self.delay_s:
                self.counters.delayed_chunks += 1
                await asyncio.sleep(self.delay_s)
            if link.is_half_closed:
                continue
            if link.replies is not None:
                if not from_server:
                    link.replies.client_says(chunk)
                elif link.replies.has_commit(chunk) and self.commit_replies_to_drop > 0:
                    self.commit_replies_to_drop -= 1
                    self.counters.commit_replies_dropped += 1
                    link.reset()
                    return
            writer.write(chunk)
            await writer.drain()
        if not link.is_half_closed:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()


class ProxyFarm:
    """All proxies of a site, in their thread. Its methods are called from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._proxies: dict[tuple[str, Protocol], TcpProxy] = {}

    def open(self, process: str, protocol: Protocol, target_port: int) -> TcpProxy:
        """A proxy for one process and one server."""
        proxy = TcpProxy(protocol, target_port)
        self._run(proxy.start())
        self._proxies[process, protocol] = proxy
        return proxy

    def of(self, process: str, protocol: Protocol) -> TcpProxy:
        """The proxy that the process reaches the server through."""
        return self._proxies[process, protocol]

    def call(self, action: Callable[[], T]) -> T:
        """Do something to a proxy, in its thread."""

        async def act() -> T:
            return action()

        return self._run(act())

    def close(self) -> None:
        """Stop all proxies and their thread."""
        for proxy in self._proxies.values():
            self._run(proxy.stop())
        self._run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_TIMEOUT_S)
        self._loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_TIMEOUT_S)
