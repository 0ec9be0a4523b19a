"""RabbitMQ from the system's package, as a private node on loopback."""

import json
import re
import secrets
import signal
import socket
import time
from collections.abc import Sequence
from urllib.parse import quote

from shared_contracts.topology import SUBSCRIPTIONS, Subscription

from local_stack.broker_definitions import ADMIN_USER, Definition, broker_definitions, broker_users, hash_password
from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.ports import LOOPBACK, free_port, require_free
from local_stack.processes import ManagedProcess, spawn
from local_stack.rabbitmq_install import require_rabbitmq
from local_stack.rabbitmq_node import SERVER_SCRIPT, NodeFiles, call, erlang_text
from local_stack.records import read_record

NAME = "rabbitmq"
EPMD_NAME = "epmd"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
_VHOST_PATTERN = re.compile(r"[A-Za-z0-9_.-]+")
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


class RabbitServer:
    """One broker with the data in `<data folder>/rabbitmq`; start it again to find the same data on the same port.

    The virtual host "/" gets the queues of `subscriptions`; the users are there in any case.
    """

    def __init__(
        self,
        folder: StackFolder,
        port: int | None = None,
        *,
        subscriptions: Sequence[Subscription] = SUBSCRIPTIONS,
        management_port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.management_port = management_port
        self._folder = folder
        self._files = NodeFiles(folder.rabbitmq)
        self._subscriptions = tuple(subscriptions)
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._process: ManagedProcess | None = None
        self._epmd: ManagedProcess | None = None

    def start(self) -> None:
        """Boot the node and wait until it speaks AMQP, with all users, exchanges and queues in place.

        Raises ProcessDiedError with the log when it ends instead, StackError when it takes too long.
        """
        require_rabbitmq()
        for port in (self.port, self._epmd_port, self._distribution_port):
            require_free(port, NAME)
        self._files.prepare(self.port, json.dumps(self._boot_definitions()), self.management_port)
        environment = self._files.environment(self._epmd_port, self._distribution_port)
        epmd = ["epmd", "-port", str(self._epmd_port), "-address", LOOPBACK]
        self._epmd = spawn(self._folder, EPMD_NAME, epmd, environment=environment, port=self._epmd_port)
        self._process = spawn(self._folder, NAME, [str(SERVER_SCRIPT)], environment=environment, port=self.port)
        self._wait_ready()

    def stop(self) -> None:
        """Orderly shutdown, with SIGKILL after a time limit; the port mapper of the node ends with it."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM, timeout_s=STOP_TIMEOUT_S)
        if self._epmd is not None:
            self._epmd.kill()

    def kill(self) -> None:
        """End the node, its helpers and its port mapper with SIGKILL."""
        self.process.kill()
        if self._epmd is not None:
            self._epmd.kill()

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def restart(self) -> None:
        """Stop (when it runs) and start again, on the same port with the same data."""
        self.stop()
        self.start()

    def adopt(self) -> bool:
        """Take over a node that another process started in this folder. Returns whether there is one."""
        record, epmd = read_record(self._folder, NAME), read_record(self._folder, EPMD_NAME)
        if record is None or epmd is None or not record.is_running:
            return False
        self._process, self._epmd = ManagedProcess(self._folder, record), ManagedProcess(self._folder, epmd)
        self.port, self._epmd_port = record.port or self.port, epmd.port or self._epmd_port
        return True

    def create_vhost(self, name: str, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> str:
        """A virtual host of its own with these subscriptions' queues. Returns the administrator's URL.

        All users have the permissions in it that they have in "/". Raises StackError for a name that would need
        escaping in a URL.
        """
        if not _VHOST_PATTERN.fullmatch(name):
            raise StackError(f"{name!r} is no plain virtual host name: letters, digits, _ . - only")
        self.import_definitions(self._definitions(subscriptions, name))
        return self.url(ADMIN_USER, name)

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with everything in it; its connections are closed."""
        self.call(f"rabbit_vhost:delete({erlang_text(name)}, {erlang_text(ADMIN_USER)})")

    def import_definitions(self, definitions: Definition) -> None:
        """Add these definitions to the running node. What is there already stays."""
        file = self._folder.rabbitmq / f"import-{secrets.token_hex(4)}.json"
        write_private(file, json.dumps(definitions))
        try:
            content = f"{{ok, Content}} = file:read_file({erlang_text(str(file))})"
            self.call(f"{content}, rabbit_definitions:import_raw(Content)")
        finally:
            file.unlink()

    def call(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node. Raises StackError when the result is an error."""
        return call(self._files, self._epmd_port, expression)

    def url(self, user: str, vhost: str = "/") -> str:
        """Where a user connects to a virtual host."""
        password = self._folder.password(f"{NAME}/{user}")
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.port}/{path}"

    @property
    def admin_url(self) -> str:
        return self.url(ADMIN_USER)

    @property
    def process(self) -> ManagedProcess:
        if self._process is None:
            raise StackError(f"{NAME} was not started")
        return self._process

    def _boot_definitions(self) -> Definition:
        return self._definitions(self._subscriptions, "/")

    def _definitions(self, subscriptions: Sequence[Subscription], vhost: str) -> Definition:
        users = (*broker_users(subscriptions), ADMIN_USER)
        hashes = {user: hash_password(self._folder.password(f"{NAME}/{user}")) for user in users}
        return broker_definitions(hashes, subscriptions=subscriptions, vhost=vhost)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _speaks_amqp(self.port):
            self.process.require_running()
            if time.monotonic() > deadline:
                raise StackError(f"RabbitMQ was not ready within {START_TIMEOUT_S:.0f} s; see {self.process.log}")
            time.sleep(0.05)


def _speaks_amqp(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(_PROTOCOL_HEADER)
            return connection.recv(1) == _METHOD_FRAME
    except OSError:
        return False
