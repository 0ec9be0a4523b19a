"""PostgreSQL and RabbitMQ together: what component tests need, and what the services of a stack run on."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from shared_contracts.topology import SUBSCRIPTIONS, Subscription

from local_stack.errors import AlreadyUpError
from local_stack.folder import StackFolder
from local_stack.guardian import NAME as GUARDIAN
from local_stack.guardian import end_everything, start_guardian
from local_stack.postgres import PostgresServer
from local_stack.processes import ManagedProcess
from local_stack.rabbitmq import RabbitServer
from local_stack.records import read_records


class LocalServers:
    """Both servers in one data folder.

    They end with `stop`, or with the calling process however that ends, unless they are `detached`.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        databases: Sequence[str] = (),
        subscriptions: Sequence[Subscription] = (),
        management_port: int | None = None,
        detached: bool = False,
    ) -> None:
        self.folder = StackFolder(data_folder)
        self.postgres = PostgresServer(self.folder)
        self.rabbitmq = RabbitServer(self.folder, subscriptions=subscriptions, management_port=management_port)
        self._databases = tuple(databases)
        self._detached = detached
        self._guardian: ManagedProcess | None = None

    def start(self) -> None:
        """Start both at the same time. Raises AlreadyUpError when somebody else's servers run in the data folder."""
        self.folder.create()
        with self.folder.lock("start"):
            claim(self.folder)
            if not self._detached:
                self._guardian = start_guardian(self.folder)
        try:
            together(self._start_postgres, self.rabbitmq.start)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both; nothing of them is left, whatever state they were in."""
        try:
            together(self.postgres.stop, self.rabbitmq.stop)
        finally:
            end_everything(self.folder)
            if self._guardian is not None:
                self._guardian.kill()

    def create_database(self, name: str) -> str:
        """A fresh database with an owner of the same name. Returns the owner's URL."""
        return self.postgres.create_database(name)

    def create_vhost(self, name: str, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> str:
        """A fresh virtual host with these subscriptions' queues. Returns the administrator's URL."""
        return self.rabbitmq.create_vhost(name, subscriptions)

    def database_url(self, name: str) -> str:
        """The owner's URL of a database."""
        return self.postgres.url(name)

    def broker_url(self, user: str, vhost: str = "/") -> str:
        """A user's URL of a virtual host."""
        return self.rabbitmq.url(user, vhost)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start_postgres(self) -> None:
        self.postgres.start()
        self.postgres.create_databases(self._databases)


def claim(folder: StackFolder) -> None:
    """Make sure that nobody else runs a stack in this folder; forget what a crash of the machine left on record."""
    running = [record for record in read_records(folder) if record.is_running and record.name != GUARDIAN]
    if running:
        names = ", ".join(f"{record.name} (process {record.pid})" for record in running)
        raise AlreadyUpError(f"a stack is already up in {folder.root}: {names}")
    for record in read_records(folder):
        ManagedProcess(folder, record).kill()


def together(*actions: Callable[[], object]) -> None:
    """Run actions at the same time. When all have ended, raises the first one's error, if any."""
    with ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(action) for action in actions]
    for future in futures:
        future.result()
