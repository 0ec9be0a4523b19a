"""What goes wrong with messages on their way: copies, other orders, queues that disappear."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from faultline.faults.fault import Fault
from local_stack.broker_definitions import ADMIN_USER, topology_definitions
from shared_contracts.message import Topic
from shared_contracts.topology import SUBSCRIPTIONS, Subscription, subscriptions_of
from shared_runtime.envelope import BATCH, Envelope, Incoming, decode, encode_batch

TIMEOUT_S = 10.0
POLL_S = 0.1
ORDERED = [one for one in SUBSCRIPTIONS if one.topic is not Topic.DRONE_TELEMETRY and one.service != "notifications"]
LONGEST_STAY_S = 0.8
SIDE_SUFFIX = ".faultline-detour"
DRAINED_WITHIN_S = 20.0
MISSING_S = 4.0


class Duplicates(Fault):
    """Every message takes a detour on which sessions change places, and arrives twice, the second time later.

    The order within each session stays as it is for the first copies, as the broker promises. The detour is there from
    before the load until everything is quiet: built or taken away meanwhile, it would itself reorder messages.
    """

    name = "duplicates"
    hold_s = 5.0

    async def prepare(self) -> None:
        self._connection = await aio_pika.connect(self.site.stack.broker_url(ADMIN_USER), timeout=TIMEOUT_S)
        self._channel = await self._connection.channel(publisher_confirms=True)
        self._is_shuffling = False
        self._copies = self._moved = 0
        queues = [(subscription, partition) for subscription in ORDERED for partition in range(subscription.partitions)]
        waiting = [await self._redirect(*queue) for queue in queues]
        self._tasks = [
            asyncio.create_task(self._forward(subscription.queue(partition), arrived))
            for (subscription, partition), arrived in zip(queues, waiting, strict=True)
        ]

    async def inject(self) -> None:
        self._is_shuffling = True

    async def heal(self) -> None:
        self._is_shuffling = False

    async def clean_up(self) -> None:
        for subscription in ORDERED:
            for partition in range(subscription.partitions):
                await self._bind(subscription, partition, subscription.queue(partition))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscription in ORDERED:
            for name in subscription.queues:
                await self._channel.queue_delete(name + SIDE_SUFFIX)
        await self._connection.close()

    @property
    def evidence(self) -> str:
        return f"{self._copies} copies were delivered, {self._moved} messages changed places" if self._copies else ""

    async def _bind(self, subscription: Subscription, partition: int, queue: str) -> None:
        destination = await self._channel.get_queue(queue, ensure=False)
        for message in subscription.messages:
            await destination.bind(subscription.topic, f"{message.message_type}.{partition}")

    async def _redirect(self, subscription: Subscription, partition: int) -> deque[AbstractIncomingMessage]:
        """Let what is for the queue go to one beside it. Returns where it arrives."""
        name = subscription.queue(partition)
        side = await self._channel.declare_queue(name + SIDE_SUFFIX, durable=True, arguments={"x-queue-type": "quorum"})
        await self._bind(subscription, partition, side.name)
        direct = await self._channel.get_queue(name, ensure=False)
        for message in subscription.messages:
            await direct.unbind(subscription.topic, f"{message.message_type}.{partition}")
        waiting: deque[AbstractIncomingMessage] = deque()
        await side.consume(_into(waiting))
        return waiting

    async def _forward(self, name: str, waiting: deque[AbstractIncomingMessage]) -> None:
        while True:
            if not waiting:
                await asyncio.sleep(POLL_S / 5)
                continue
            is_shuffling = self._is_shuffling
            if is_shuffling:
                await asyncio.sleep(self.random.uniform(0, LONGEST_STAY_S))
            taken = [waiting.popleft() for _ in range(len(waiting))]
            events = [event for message in taken for event in _events(message)]
            await self._deliver(name, self._in_another_order(events) if is_shuffling else events)
            if is_shuffling:
                await self._deliver(name, self.random.sample(events, len(events)))
                self._copies += len(events)
            for delivered in taken:
                await delivered.ack()

    def _in_another_order(self, events: list[Envelope]) -> list[Envelope]:
        sessions: dict[str, deque[Envelope]] = defaultdict(deque)
        for event in events:
            sessions[event.session_id].append(event)
        places = [event.session_id for event in events]
        self.random.shuffle(places)
        shuffled = [sessions[session].popleft() for session in places]
        self._moved += sum(one is not other for one, other in zip(events, shuffled, strict=True))
        return shuffled

    async def _deliver(self, queue: str, events: Sequence[Envelope]) -> None:
        message = aio_pika.Message(
            encode_batch(events), content_type=BATCH, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await self._channel.default_exchange.publish(message, queue, mandatory=True)


class DeletedQueue(Fault):
    """A queue of deliveries loses its bindings, then is deleted, and comes back after a while.

    What is in a queue when it is deleted is gone for good, so it is drained first; meanwhile the publishers find no
    route. That is possible only where one subscription is the only one of its messages, as here.
    """

    name = "deleted-queue"
    hold_s = MISSING_S

    async def inject(self) -> None:
        (self._subscription,) = (one for one in subscriptions_of("delivery") if one.topic is Topic.DELIVERY)
        self._partition = self.random.randrange(self._subscription.partitions)
        name = self._subscription.queue(self._partition)
        async with await aio_pika.connect(self.site.stack.broker_url(ADMIN_USER), timeout=TIMEOUT_S) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(name)
            for message in self._subscription.messages:
                await queue.unbind(self._subscription.topic, f"{message.message_type}.{self._partition}")
            async with asyncio.timeout(DRAINED_WITHIN_S):
                while await self._has_messages(name):
                    await asyncio.sleep(POLL_S)
            await channel.queue_delete(name)
            with suppress(ChannelNotFoundEntity):
                await channel.declare_queue(name, passive=True)
                return
        self.seen.append(f"{name} was not there")

    async def heal(self) -> None:
        definitions = topology_definitions([self._subscription])
        await self.site.do(self.site.servers.rabbitmq.import_definitions, definitions)

    async def _has_messages(self, name: str) -> bool:
        # Ready and unacknowledged ones together, asked of the queue itself and not of its statistics.
        resource = f'rabbit_misc:r(<<"/">>, queue, <<"{name}">>)'
        counted = await self.site.call_broker(
            f"{{ok, Queue}} = rabbit_amqqueue:lookup({resource}), "
            "{ok, {_, Overview}, _} = ra:local_query(amqqueue:get_pid(Queue), fun rabbit_fifo:overview/1), "
            "maps:get(num_messages, Overview)"
        )
        return int(counted) > 0


def _into(waiting: deque[AbstractIncomingMessage]) -> Any:
    async def take(message: AbstractIncomingMessage) -> None:
        waiting.append(message)

    return take


def _events(message: AbstractIncomingMessage) -> list[Envelope]:
    read = decode(Incoming(message.body, message.content_type or "", message.headers))
    return [event for event in read if isinstance(event, Envelope)]
