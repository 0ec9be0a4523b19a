"""Connections to RabbitMQ. Publishing and consuming have one each: an alarm of the broker blocks only publishers."""

import asyncio

import aio_pika
from aio_pika.abc import AbstractConnection

CONNECT_TIMEOUT_S = 10.0
HEARTBEAT_S = 10


async def connect(url: str, name: str) -> AbstractConnection:
    """Open a connection that the broker lists as `name`. It does not reconnect: its owner knows what to redo.

    Raises OSError or aio_pika.exceptions.AMQPError when the broker is out of reach or refuses, TimeoutError when it
    does not answer within ten seconds.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        return await aio_pika.connect(
            url, client_properties={"connection_name": name}, heartbeat=HEARTBEAT_S, timeout=CONNECT_TIMEOUT_S
        )
