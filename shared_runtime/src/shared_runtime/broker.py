"""Connections to RabbitMQ. Publishing and consuming have one each: an alarm of the broker blocks only publishers."""

import asyncio
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url

from shared_runtime.frames import read_leniently
from shared_runtime.supervision import was_cancelled

read_leniently()

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
HEARTBEAT_S = 10


class BrokerUnavailable(Exception):
    """The broker is out of reach, or does not answer in time."""


async def connect(url: str, name: str) -> AbstractConnection:
    """Open a connection that the broker lists as `name`. It does not reconnect: its owner knows what to redo.

    Raises OSError or aio_pika.exceptions.AMQPError when the broker is out of reach or refuses, TimeoutError when it
    does not answer within ten seconds.
    """
    # Not `aio_pika.connect`, which drops a connection that cannot be made: it would close itself when it is collected.
    connection = aio_pika.Connection(make_url(url, heartbeat=HEARTBEAT_S), client_properties={"connection_name": name})
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await connection.connect(timeout=CONNECT_TIMEOUT_S)
    except BaseException:
        await close_quietly(connection)
        raise
    return connection


def is_open(connection: AbstractConnection) -> bool:
    """Whether the connection can be used. Its `is_closed` is true only when somebody called `close`."""
    return connection.connected.is_set() and not connection.is_closed


async def close_quietly(resource: AbstractConnection | AbstractChannel) -> None:
    """Close a connection or channel, which may be broken already: there is nothing left to do with it."""
    try:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await resource.close()
    except asyncio.CancelledError:
        # A broken connection ends what waits for it as if it had been cancelled.
        if was_cancelled():
            raise
