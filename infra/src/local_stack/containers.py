"""The two servers in containers, for tests on the very images that Docker Compose uses."""

import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self
from urllib.parse import quote

import httpx
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from local_stack.broker_definitions import ADMIN_USER, broker_definitions
from local_stack.errors import StackError
from shared_contracts.topology import SUBSCRIPTIONS, Subscription

POSTGRES_IMAGE = "postgres:17"
RABBITMQ_IMAGE = "rabbitmq:4-management"
MANAGEMENT_PORT = 15672


class ContainerServers:
    """As LocalServers, as far as component tests need it. The containers are removed at the end of the block."""

    def __init__(self) -> None:
        self._password = secrets.token_urlsafe(24)
        self._postgres = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_PASSWORD", self._password)
            .with_exposed_ports(5432)
            .with_command(["postgres", "-c", "max_connections=200"])
            # Over TCP: the server that only prepares a new data folder listens on a socket.
            .waiting_for(ExecWaitStrategy(["pg_isready", "--quiet", "--host", "127.0.0.1", "--username", "postgres"]))
        )
        self._rabbitmq = (
            DockerContainer(RABBITMQ_IMAGE)
            .with_env("RABBITMQ_DEFAULT_USER", ADMIN_USER)
            .with_env("RABBITMQ_DEFAULT_PASS", self._password)
            .with_exposed_ports(5672, MANAGEMENT_PORT)
            # The last thing that it does: the management interface answers before.
            .waiting_for(ExecWaitStrategy(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5672"]))
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        # The container that cleans up after a killed test is one more image to fetch. This block cleans up itself.
        testcontainers_config.ryuk_disabled = True
        with ExitStack() as running:
            for container in (self._postgres, self._rabbitmq):
                # Also when it exists but never gets ready.
                running.callback(container.stop)
                container.start()
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    def create_database(self, name: str) -> str:
        """A database with an owner of the same name, empty unless it was there already. Returns the owner's URL.

        Raises StackError with what the server said.
        """
        if name not in self._query("SELECT datname FROM pg_database").split():
            self._query(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{self._password}'")
            self._query(f'CREATE DATABASE "{name}" OWNER "{name}"')
        address = f"{self._postgres.get_container_host_ip()}:{self._postgres.get_exposed_port(5432)}"
        return f"postgresql://{name}:{self._password}@{address}/{name}"

    def create_vhost(self, name: str, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> str:
        """A fresh virtual host with these subscriptions' queues. Returns the administrator's URL."""
        host = self._rabbitmq.get_container_host_ip()
        definitions = broker_definitions(subscriptions=subscriptions, vhost=name)
        definitions["users"] = [user for user in definitions["users"] if user["name"] != ADMIN_USER]
        answer = httpx.post(
            f"http://{host}:{self._rabbitmq.get_exposed_port(MANAGEMENT_PORT)}/api/definitions",
            json=definitions,
            auth=(ADMIN_USER, self._password),
            timeout=60,
            trust_env=False,
        )
        answer.raise_for_status()
        port = self._rabbitmq.get_exposed_port(5672)
        return f"amqp://{ADMIN_USER}:{self._password}@{host}:{port}/{quote(name, safe='')}"

    def _query(self, statement: str) -> str:
        command = ["psql", "-U", "postgres", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement]
        status, output = self._postgres.get_wrapped_container().exec_run(command)
        text: str = output.decode()
        if status != 0:
            raise StackError(text)
        return text
