"""The whole suite: both servers and the services."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack.errors import AlreadyUpError, StackError
from local_stack.fleet import FleetProcess
from local_stack.migrations import migrate_services
from local_stack.part import Part
from local_stack.ports import require_free
from local_stack.postgres import NAME as POSTGRES
from local_stack.rabbitmq import NAME as RABBITMQ
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from shared_contracts.message import Topic
from shared_contracts.topology import SUBSCRIPTIONS, Subscription

SERVICES = ("ingestion", "package_service", "drone_scheduler", "delivery", "dead_letters")
"""The services of the suite, in the order of their ports."""
FIRST_PORT = 8081
SUPPORT = "dead_letters"
"""The service that asks every other one what waits in it."""


class LocalStack:
    """The services of one data folder with the servers they need.

    `services` are names of packages, or `Service` for anything out of the ordinary. `ports` and `environment` are by
    service name; a port that is not given is a free one. Ends with `stop`, with the block it is the context of, or with
    the calling process however that ends, unless it called `detach`. `with_fleet` adds the fleet simulator.
    """

    def __init__(
        self,
        data_folder: Path,
        services: Sequence[str | Service] = SERVICES,
        *,
        ports: Mapping[str, int] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        subscriptions: Sequence[Subscription] = SUBSCRIPTIONS,
        management_port: int | None = None,
        with_fleet: bool = False,
    ) -> None:
        wanted = [Service(service) if isinstance(service, str) else service for service in services]
        databases = tuple(dict.fromkeys(service.database for service in wanted))
        self.servers = LocalServers(
            data_folder, databases=databases, subscriptions=subscriptions, management_port=management_port
        )
        self.folder = self.servers.folder
        self._ports = dict(ports or {})
        self._environment = dict(environment or {})
        self._services = {service.name: self._process_of(service) for service in wanted}
        if SUPPORT in self._services:
            self._tell_where_services_are(self._services[SUPPORT])
        self._fleet = self._fleet_process() if with_fleet else None

    def start(self) -> None:
        """Start everything, all or nothing, and wait until it is ready.

        Raises AlreadyUpError when another stack runs in the data folder, StackError with the reason (and the end of the
        log) when a port is taken or a part does not start.
        """
        self.folder.create()
        try:
            self.servers.claim()
            if (management_port := self.servers.rabbitmq.management_port) is not None:
                require_free(management_port, f"the management pages of {RABBITMQ}")
            for service in self._services.values():
                require_free(service.port, service.service.name)
            self.servers.together(self._prepare_databases, self.servers.rabbitmq.start)
            self.servers.together(*(service.start for service in self._services.values()))
            if self._fleet is not None:
                self._fleet.start()
        except AlreadyUpError:
            raise
        except BaseException:
            if self.servers.is_claimed:
                self.stop()
            raise

    def stop(self) -> None:
        """Stop services, then servers; nothing is left, whatever state it was in."""
        try:
            if self._fleet is not None:
                self._fleet.stop()
            self.servers.together(*(service.stop for service in self._services.values()))
        finally:
            self.servers.stop()

    def detach(self) -> None:
        """Let everything outlive the calling process, until somebody stops it by the data folder."""
        self.servers.detach()

    def adopt(self) -> None:
        """Take over what another process started in this data folder and detached."""
        self.servers.adopt()
        for service in self._services.values():
            service.adopt()
        if self._fleet is not None:
            self._fleet.adopt()

    def part(self, name: str) -> Part:
        """A service by its name, or "postgresql" or "rabbitmq". Raises StackError when there is none."""
        servers: dict[str, Part] = {POSTGRES: self.servers.postgres, RABBITMQ: self.servers.rabbitmq}
        part = servers.get(name) or self._services.get(name)
        if part is None:
            raise StackError(f"the stack has no part {name!r}; it has {', '.join([*servers, *self._services])}")
        return part

    def kill(self, name: str) -> None:
        """End a part and all it started with SIGKILL."""
        self.part(name).kill()

    def pause(self, name: str) -> None:
        """Keep a part from running: ports and connections stay, nothing answers."""
        self.part(name).pause()

    def resume(self, name: str) -> None:
        """End a pause."""
        self.part(name).resume()

    def restart(self, name: str) -> None:
        """Stop a part (when it runs), start it again with the same port and data, and wait until it is ready."""
        self.part(name).restart()

    def wait_ready(self, name: str, timeout_s: float | None = None) -> None:
        """Wait until a part can be used. Raises StackError with the reason when it cannot."""
        self.part(name).wait_ready(timeout_s)

    @property
    def parts(self) -> list[Part]:
        """Everything that runs, in an order in which it can be started."""
        rabbitmq = self.servers.rabbitmq
        fleet = [] if self._fleet is None else [self._fleet]
        return [self.servers.postgres, rabbitmq.port_mapper, rabbitmq, *self._services.values(), *fleet]

    def ended(self) -> list[str]:
        """The parts that were started and do not run any more."""
        return [part.name for part in self.parts if not part.is_running]

    def declare_extra(
        self, subscriptions: Sequence[Subscription], publishers: Mapping[str, Sequence[Topic]] | None = None
    ) -> None:
        """Make room for services that the topology does not know: databases, broker users and queues.

        `publishers` says which topics they write to.
        """
        topics = dict(publishers or {})
        users = dict.fromkeys([*(subscription.service for subscription in subscriptions), *topics])
        self.servers.postgres.create_databases([user.replace("-", "_") for user in users])
        self.servers.rabbitmq.declare(subscriptions, topics)

    def add_service(self, service: Service) -> ServiceProcess:
        """Start one more process, its database migrated first, and wait until it is ready."""
        process = self._process_of(service)
        migrate_services(self.servers, [process])
        self._services[service.name] = process
        process.start()
        return process

    def base_url(self, service: str) -> str:
        """Where a service's HTTP interface is, without a slash at the end."""
        return self.service(service).base_url

    def service(self, name: str) -> ServiceProcess:
        """A service's process by its name. Raises StackError when there is none."""
        if name not in self._services:
            raise StackError(f"the stack has no service {name!r}; it has {', '.join(self._services)}")
        return self._services[name]

    def database_url(self, service: str) -> str:
        """A service's database, for the role that owns it."""
        return self.servers.database_url(self.service(service).service.database)

    def broker_url(self, user: str) -> str:
        """The broker, for a user of the topology ("package-service", "fleet", ...) or "admin"."""
        return self.servers.broker_url(user)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _fleet_process(self) -> FleetProcess:
        return FleetProcess(
            self.servers,
            scheduler_url=self.base_url("drone_scheduler"),
            delivery_url=self.base_url("delivery"),
        )

    def _process_of(self, service: Service) -> ServiceProcess:
        settings = {**service.environment, **self._environment.get(service.name, {})}
        return ServiceProcess(self.servers, replace(service, environment=settings), self._ports.get(service.name))

    def _tell_where_services_are(self, support: ServiceProcess) -> None:
        others = [process for process in self._services.values() if process is not support]
        urls = json.dumps({process.service.broker_user: process.base_url for process in others})
        environment = {"SUPPORT_URLS": urls, **support.service.environment}
        support.service = replace(support.service, environment=environment)

    def _prepare_databases(self) -> None:
        self.servers.start_postgres()
        migrate_services(self.servers, list(self._services.values()))
