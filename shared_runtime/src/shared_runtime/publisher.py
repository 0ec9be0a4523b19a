"""One connection to the broker that messages are published on, with confirms."""

import asyncio
import struct
from collections.abc import Sequence

import aio_pika
from aio_pika import Exchange
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import ChannelClosed, DeliveryError

from shared_runtime.backlog import Fate, Outcome
from shared_runtime.broker import BrokerUnavailable, close_quietly, connect, is_open
from shared_runtime.errors import text_of
from shared_runtime.outbox import Outgoing
from shared_runtime.supervision import was_cancelled

CONFIRM_TIMEOUT_S = 30.0

CONFIRMED = Outcome(Fate.CONFIRMED)


class Publisher:
    """Publishes rounds of messages that the broker may take in any order."""

    def __init__(self, broker_url: str, name: str) -> None:
        self._broker_url = broker_url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}

    @property
    def is_connected(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    @property
    def has_lost_its_channel(self) -> bool:
        """Whether the broker has closed the channel and kept the connection: it objects to what was published."""
        return not self.is_connected and self._connection is not None and is_open(self._connection)

    async def ensure_connected(self) -> None:
        """Open what is not open. Raises BrokerUnavailable."""
        if self.is_connected:
            return
        self._exchanges.clear()
        try:
            if self._connection is None or not is_open(self._connection):
                await self.close()
                self._connection = await connect(self._broker_url, f"{self._name} publisher")
            self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        except (Exception, asyncio.CancelledError) as error:
            await self.close()
            if was_cancelled():
                raise
            raise BrokerUnavailable(text_of(error)) from error

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._channel = self._connection, None, None
        self._exchanges.clear()
        if connection is not None:
            await close_quietly(connection)

    async def publish(self, messages: Sequence[Outgoing]) -> list[Outcome]:
        """Publish the messages and wait until the broker has answered, at most CONFIRM_TIMEOUT_S.

        When it closes the channel because of one of several messages, all that it has not confirmed are unknown: they
        are to be published one by one.
        """
        tasks = [asyncio.create_task(self._publish(message)) for message in messages]
        try:
            await asyncio.wait(tasks, timeout=CONFIRM_TIMEOUT_S)
        finally:
            for task in tasks:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
        return [self._outcome(answer, is_alone=len(messages) == 1) for answer in answers]

    async def _publish(self, message: Outgoing) -> None:
        properties = message.properties
        amqp_message = aio_pika.Message(
            message.body,
            headers=properties.headers,
            content_type=properties.content_type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            correlation_id=properties.correlation_id,
            message_id=properties.message_id,
            type=properties.type,
            app_id=self._name,
        )
        await self._exchange(message.exchange).publish(amqp_message, message.routing_key, mandatory=True)

    def _exchange(self, name: str) -> AbstractExchange:
        if self._channel is None:
            raise ConnectionError("the connection was closed")
        if name not in self._exchanges:
            self._exchanges[name] = Exchange(self._channel, name)
        return self._exchanges[name]

    def _outcome(self, error: BaseException | None, *, is_alone: bool) -> Outcome:
        if error is None:
            return CONFIRMED
        # A CancelledError says that the time was up, or that aiormq gave up on a broken connection.
        said = "no confirm in time" if isinstance(error, asyncio.CancelledError) else text_of(error)
        is_refusal = isinstance(error, DeliveryError) or (isinstance(error, ChannelClosed) and is_alone)
        # What cannot be put into frames will not be at the next attempt either.
        is_unfit = isinstance(error, ValueError | TypeError | struct.error)
        return Outcome(Fate.REFUSED if is_refusal or is_unfit else Fate.UNKNOWN, said)
