"""Every service reaches its own exchanges and queues and nothing else, and no crash loses what was confirmed."""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import PublishError
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from local_stack.broker_definitions import (
    ADMIN_USER,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTERS_USER,
    REPLAY_EXCHANGE,
    broker_users,
)
from local_stack.ports import is_free
from local_stack.rabbitmq_node import WAL_BYTES
from local_stack.servers import LocalServers
from shared_contracts.message import Topic
from shared_contracts.topology import PUBLISHERS, SUBSCRIPTIONS
from shared_runtime.replays import OUTCOMES

DEADLINE_S = 20.0
PACKAGE_REQUESTS = SUBSCRIPTIONS[0]


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(url, timeout=DEADLINE_S) as connection:
        yield await connection.channel(on_return_raises=True)


async def publish(url: str, topic: str, routing_key: str, body: bytes = b"{}") -> None:
    async with channel_of(url) as channel:
        exchange = await channel.get_exchange(topic, ensure=False)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await exchange.publish(message, routing_key, mandatory=True, timeout=DEADLINE_S)


async def first_message(url: str, queue_name: str, *, reject: bool = False) -> bytes:
    arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def on_message(message: AbstractIncomingMessage) -> None:
        await (message.reject() if reject else message.ack())
        if not arrived.done():
            arrived.set_result(message.body)

    async with channel_of(url) as channel:
        queue = await channel.get_queue(queue_name, ensure=False)
        await queue.consume(on_message)
        return await asyncio.wait_for(arrived, DEADLINE_S)


async def test_message_reaches_the_queue_of_its_partition(servers: LocalServers) -> None:
    [message] = PACKAGE_REQUESTS.messages
    await publish(servers.broker_url("ingestion"), Topic.DELIVERY_REQUESTS, f"{message.message_type}.2", b"hello")
    for subscription in SUBSCRIPTIONS:
        if subscription.topic == Topic.DELIVERY_REQUESTS:
            url = servers.broker_url(subscription.service)
            assert await first_message(url, subscription.queue(2)) == b"hello"


async def test_message_that_nobody_handles_comes_back(servers: LocalServers) -> None:
    with pytest.raises(PublishError):
        await publish(servers.broker_url("ingestion"), Topic.DELIVERY_REQUESTS, "unheard-of.v1.0")


async def test_rejected_message_becomes_a_dead_letter_of_its_subscription(servers: LocalServers) -> None:
    [message] = PACKAGE_REQUESTS.messages
    url = servers.broker_url("package-service")
    await publish(servers.broker_url("ingestion"), Topic.DELIVERY_REQUESTS, f"{message.message_type}.1", b"bad")
    await first_message(url, PACKAGE_REQUESTS.queue(1), reject=True)
    assert await first_message(url, PACKAGE_REQUESTS.dead_letter_queue) == b"bad"


@pytest.mark.parametrize("user", broker_users())
async def test_user_may_look_at_everything_that_exists(servers: LocalServers, user: str) -> None:
    async with channel_of(servers.broker_url(user)) as channel:
        for subscription in SUBSCRIPTIONS:
            for queue in (*subscription.queues, subscription.dead_letter_queue):
                await channel.declare_queue(queue, passive=True)
        for topic in Topic:
            await channel.declare_exchange(topic, passive=True)


@pytest.mark.parametrize("user", broker_users())
async def test_user_may_not_read_queues_of_others(servers: LocalServers, user: str) -> None:
    own = {user, "notifications"} if user == "fleet" else {user}
    for subscription in SUBSCRIPTIONS:
        if subscription.service not in own:
            names = [subscription.queue(0)]
            # All dead letters are one user's business.
            names += [] if user == DEAD_LETTERS_USER else [subscription.dead_letter_queue]
            for name in names:
                with pytest.raises(ChannelAccessRefused):
                    await first_message(servers.broker_url(user), name)


@pytest.mark.parametrize("user", broker_users())
async def test_user_may_not_write_to_exchanges_of_others(servers: LocalServers, user: str) -> None:
    own = {*PUBLISHERS.get(user, ())} | (set() if user == "fleet" else {DEAD_LETTER_EXCHANGE, OUTCOMES.topic})
    own |= {REPLAY_EXCHANGE} if user == DEAD_LETTERS_USER else set()
    for exchange in {*Topic, DEAD_LETTER_EXCHANGE, REPLAY_EXCHANGE, OUTCOMES.topic, "amq.topic", ""} - own:
        with pytest.raises(ChannelAccessRefused):
            await publish(servers.broker_url(user), exchange, PACKAGE_REQUESTS.queue(0))


@pytest.mark.parametrize("user", broker_users())
async def test_user_may_change_no_topology(servers: LocalServers, user: str) -> None:
    url = servers.broker_url(user)
    with pytest.raises(ChannelAccessRefused):
        async with channel_of(url) as channel:
            await channel.declare_queue("mine", durable=True)
    with pytest.raises(ChannelAccessRefused):
        async with channel_of(url) as channel:
            await channel.declare_exchange("mine")
    with pytest.raises(ChannelAccessRefused):
        async with channel_of(url) as channel:
            await channel.queue_delete(PACKAGE_REQUESTS.queue(0))


@pytest.mark.parametrize("login", ["guest:guest", "delivery:wrong", "delivery:"])
async def test_login_without_the_password_is_refused(servers: LocalServers, login: str) -> None:
    with pytest.raises(aio_pika.exceptions.AMQPConnectionError):
        await aio_pika.connect(f"amqp://{login}@127.0.0.1:{servers.rabbitmq.port}/", timeout=DEADLINE_S)


def test_the_log_that_is_kept_in_memory_is_limited(servers: LocalServers) -> None:
    assert int(servers.rabbitmq.call("element(2, application:get_env(ra, wal_max_size_bytes))")) == WAL_BYTES
    of_the_image = Path(__file__).parents[2] / "docker" / "rabbitmq.conf"
    assert f"raft.wal_max_size_bytes = {WAL_BYTES}" in of_the_image.read_text().splitlines()


def test_guest_does_not_exist(servers: LocalServers) -> None:
    users = "rabbit_auth_backend_internal:list_users()"
    listed = servers.rabbitmq.call(f"[binary_to_list(proplists:get_value(user, User)) || User <- {users}]")
    assert set(re.findall(r'"(.*?)"', listed)) == {*broker_users(), ADMIN_USER}


async def test_virtual_hosts_do_not_see_each_other(servers: LocalServers) -> None:
    admin = servers.create_vhost("one", [PACKAGE_REQUESTS])
    servers.create_vhost("two", [PACKAGE_REQUESTS])
    [message] = PACKAGE_REQUESTS.messages
    await publish(servers.broker_url("ingestion", "one"), PACKAGE_REQUESTS.topic, f"{message.message_type}.0", b"1")
    assert await first_message(servers.broker_url("package-service", "one"), PACKAGE_REQUESTS.queue(0)) == b"1"
    async with channel_of(servers.broker_url("package-service", "two")) as channel:
        queue = await channel.declare_queue(PACKAGE_REQUESTS.queue(0), passive=True)
        assert queue.declaration_result.message_count == 0
    servers.rabbitmq.delete_vhost("one")
    servers.rabbitmq.delete_vhost("two")
    with pytest.raises(AMQPError):
        await aio_pika.connect(admin, timeout=DEADLINE_S)


async def test_confirmed_message_survives_kill(servers: LocalServers) -> None:
    [message] = PACKAGE_REQUESTS.messages
    await publish(servers.broker_url("ingestion"), Topic.DELIVERY_REQUESTS, f"{message.message_type}.3", b"kept")

    servers.rabbitmq.kill()
    assert is_free(servers.rabbitmq.port)
    servers.rabbitmq.start()

    assert await first_message(servers.broker_url("package-service"), PACKAGE_REQUESTS.queue(3)) == b"kept"


async def test_paused_broker_does_not_answer_until_it_is_resumed(servers: LocalServers) -> None:
    servers.rabbitmq.pause()
    try:
        assert servers.rabbitmq.obstacle() is not None
    finally:
        servers.rabbitmq.resume()
    servers.rabbitmq.wait_ready(DEADLINE_S)


def test_node_listens_on_loopback_only(servers: LocalServers) -> None:
    listening = {
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    ours = {f"{port:04X}" for port in servers.rabbitmq.ports}
    loopback = {"0100007F", "00000000000000000000000001000000"}
    assert {address.split(":")[0] for address in listening if address.split(":")[1] in ours} <= loopback


def test_passwords_show_neither_in_the_process_list_nor_in_logs(servers: LocalServers) -> None:
    passwords = [
        servers.folder.password(name) for name in ("rabbitmq/admin", "rabbitmq/delivery", "postgresql/delivery")
    ]
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    logged = "".join(log.read_text(errors="replace") for log in servers.folder.logs.glob("*.log"))
    cookie = (servers.folder.rabbitmq / "home" / ".erlang.cookie").read_text()
    assert not any(secret in shown or secret in logged for secret in [*passwords, cookie])
