"""RabbitMQ from the system's package, as a private node on loopback."""

import json
import os
import re
import secrets
import signal
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from local_stack.broker_definitions import ADMIN_USER, Definition, broker_definitions, broker_users, hash_password
from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.part import Part
from local_stack.ports import LOOPBACK, free_port, require_free
from local_stack.processes import spawn
from local_stack.rabbitmq_install import require_rabbitmq
from local_stack.rabbitmq_node import SERVER_SCRIPT, NodeFiles, call, erlang_text
from shared_contracts.message import Topic
from shared_contracts.topology import PUBLISHERS, SUBSCRIPTIONS, Subscription

NAME = "rabbitmq"
_VHOST_PATTERN = re.compile(r"[A-Za-z0-9_.-]+")
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class RabbitServer(Part):
    """One broker with the data in `<data folder>/rabbitmq`; start it again to find the same data on the same port.

    The virtual host "/" gets the queues of `subscriptions`; the users are there in any case.
    """

    start_timeout_s = 120.0
    stop_timeout_s = 20.0

    def __init__(
        self,
        folder: StackFolder,
        port: int | None = None,
        *,
        subscriptions: Sequence[Subscription] = SUBSCRIPTIONS,
        management_port: int | None = None,
    ) -> None:
        super().__init__(folder, NAME, port)
        self.management_port = management_port
        self._files = NodeFiles(folder.rabbitmq)
        self._subscriptions = tuple(subscriptions)
        self.port_mapper = PortMapper(folder)
        self._distribution_port = free_port()

    def launch(self) -> None:
        """Boot the node; it listens when all users, exchanges and queues are in place.

        Installs the system's package when it is missing and we may. Raises StackError when it cannot, or when a port is
        taken.
        """
        require_rabbitmq()
        require_free(self.port, NAME)
        require_free(self._distribution_port, NAME)
        definitions = json.dumps(self._definitions(self._subscriptions, PUBLISHERS, "/"))
        self._files.prepare(self.port, definitions, self.management_port)
        if not self.port_mapper.is_running:
            self.port_mapper.start()
        environment = self._files.environment(self.port_mapper.port, self._distribution_port)
        command = [str(SERVER_SCRIPT)]
        self._process = spawn(
            self.folder, NAME, command, environment=environment, port=self.port, working_folder=self._files.root
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports that the node and its helper listen on."""
        management = () if self.management_port is None else (self.management_port,)
        return (self.port, self._distribution_port, self.port_mapper.port, *management)

    def obstacle(self) -> str | None:
        """Why it does not speak AMQP."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                return None if connection.recv(1) == _METHOD_FRAME else "no AMQP greeting"
        except OSError as error:
            return str(error)

    def stop(self) -> None:
        """Orderly shutdown, with SIGKILL after a time limit; the port mapper of the node ends with it."""
        super().stop()
        self.port_mapper.stop()

    def kill(self) -> None:
        """End the node, its helpers and its port mapper with SIGKILL."""
        super().kill()
        self.port_mapper.stop()

    def adopt(self) -> bool:
        """Take over a node, with its port mapper, that was started elsewhere. Returns whether there is one."""
        has_port_mapper = self.port_mapper.adopt()
        return super().adopt() and has_port_mapper

    def create_vhost(self, name: str, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> str:
        """A virtual host of its own with these subscriptions' queues. Returns the administrator's URL.

        All users have the permissions in it that they have in "/". Raises StackError for a name that would need
        escaping in a URL.
        """
        if not _VHOST_PATTERN.fullmatch(name):
            raise StackError(f"{name!r} is no plain virtual host name: letters, digits, _ . - only")
        self.import_definitions(self._definitions(subscriptions, PUBLISHERS, name))
        return self.url(ADMIN_USER, name)

    def declare(self, subscriptions: Sequence[Subscription], publishers: Mapping[str, Sequence[Topic]]) -> None:
        """Add services to the virtual host "/" of the running node: users, permissions and queues."""
        self.import_definitions(self._definitions(subscriptions, publishers, "/"))

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with everything in it; its connections are closed."""
        self.call(f"rabbit_vhost:delete({erlang_text(name)}, {erlang_text(ADMIN_USER)})")

    def import_definitions(self, definitions: Definition) -> None:
        """Add these definitions to the running node. What is there already stays."""
        file = self._files.root / f"import-{secrets.token_hex(4)}.json"
        write_private(file, json.dumps(definitions))
        try:
            content = f"{{ok, Content}} = file:read_file({erlang_text(file.name)})"
            self.call(f"{content}, rabbit_definitions:import_raw(Content)")
        finally:
            file.unlink()

    def call(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node. Raises StackError when the result is an error."""
        return call(self._files, self.port_mapper.port, expression)

    def url(self, user: str, vhost: str = "/") -> str:
        """Where a user connects to a virtual host."""
        password = self.folder.password(f"{NAME}/{user}")
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.port}/{path}"

    @property
    def admin_url(self) -> str:
        return self.url(ADMIN_USER)

    def _definitions(
        self, subscriptions: Sequence[Subscription], publishers: Mapping[str, Sequence[Topic]], vhost: str
    ) -> Definition:
        users = (*broker_users(subscriptions, publishers), ADMIN_USER)
        hashes = {user: hash_password(self.folder.password(f"{NAME}/{user}")) for user in users}
        return broker_definitions(hashes, subscriptions=subscriptions, publishers=publishers, vhost=vhost)


class PortMapper(Part):
    """Erlang's epmd for one node only; the system's, if there is one, is left alone."""

    # It has nothing to finish, and it ignores SIGTERM while a node is registered.
    stop_signal = signal.SIGKILL

    def __init__(self, folder: StackFolder) -> None:
        super().__init__(folder, "epmd")

    def launch(self) -> None:
        """Start it on loopback. Raises StackError when its port is taken."""
        require_free(self.port, self.name)
        command = [self.name, "-port", str(self.port), "-address", LOOPBACK]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        self._process = spawn(self.folder, self.name, command, environment=environment, port=self.port)

    def obstacle(self) -> str | None:
        """Why a node could not register."""
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=2).close()
        except OSError as error:
            return str(error)
        return None
