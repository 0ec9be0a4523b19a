"""PostgreSQL and RabbitMQ together: what component tests need, and what the services of a stack run on."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack.errors import AlreadyUpError
from local_stack.folder import StackFolder
from local_stack.guardian import end_everything
from local_stack.ownership import claim, is_owner, release
from local_stack.postgres import PostgresServer
from local_stack.processes import ManagedProcess
from local_stack.rabbitmq import RabbitServer
from shared_contracts.topology import SUBSCRIPTIONS, Subscription


class LocalServers:
    """Both servers in one data folder.

    They end with `stop`, or with the calling process however that ends, unless it called `detach`.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        databases: Sequence[str] = (),
        subscriptions: Sequence[Subscription] = (),
        management_port: int | None = None,
    ) -> None:
        self.folder = StackFolder(data_folder)
        self.postgres = PostgresServer(self.folder)
        self.rabbitmq = RabbitServer(self.folder, subscriptions=subscriptions, management_port=management_port)
        self._databases = tuple(databases)
        self._guardian: ManagedProcess | None = None

    def start(self) -> None:
        """Start both at the same time, all or nothing.

        Raises AlreadyUpError when another stack runs in the data folder, StackError when one of them does not start.
        """
        try:
            self.claim()
            self.together(self.start_postgres, self.rabbitmq.start)
        except AlreadyUpError:
            raise
        except BaseException:
            if self.is_claimed:
                self.stop()
            raise

    def stop(self) -> None:
        """Stop both, and whatever else runs in the data folder; nothing is left, whatever state it was in."""
        try:
            self.together(self.postgres.stop, self.rabbitmq.stop)
        finally:
            end_everything(self.folder)
            self.detach()

    def claim(self) -> None:
        """Take the data folder, before anything is started in it. Raises AlreadyUpError when a stack runs there."""
        self._guardian = claim(self.folder)

    @property
    def is_claimed(self) -> bool:
        """Whether the data folder is the calling process's, also when `claim` was interrupted."""
        return is_owner(self.folder)

    def detach(self) -> None:
        """Let everything outlive the calling process, until somebody stops it by the data folder."""
        release(self.folder, self._guardian)
        self._guardian = None

    def adopt(self) -> None:
        """Take over what another process started in this data folder and detached."""
        self.postgres.adopt()
        self.rabbitmq.adopt()

    def start_postgres(self) -> None:
        """Start PostgreSQL alone, with its databases."""
        self.postgres.start()
        self.postgres.create_databases(self._databases)

    def together(self, *actions: Callable[[], object]) -> None:
        """Run actions at the same time.

        When one fails, or when the calling thread is interrupted, the processes in the data folder are ended until the
        other actions give up too; then the first error is raised.
        """
        try:
            with ThreadPoolExecutor(max(1, len(actions))) as pool:
                futures = [pool.submit(action) for action in actions]
                try:
                    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                    for future in done:
                        future.result()
                except BaseException:
                    while wait(futures, timeout=0.1).not_done:
                        end_everything(self.folder)
                    raise
        except BaseException:
            # An action may have succeeded after the last look, or before anybody could look at all.
            end_everything(self.folder)
            raise

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
