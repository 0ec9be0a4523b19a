"""The services as processes."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from local_stack.part import Part
from local_stack.ports import LOOPBACK, require_free
from local_stack.processes import spawn
from local_stack.servers import LocalServers

_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Service:
    """One process of a service: what runs, and with which settings besides database, broker and port.

    Two of the same `package` with different names share its database and its queues.
    """

    name: str
    package: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    serve: tuple[str, ...] = ()
    """The command, `python -m shared_runtime.serve <package>` when empty."""
    migrate: tuple[str, ...] | None = None
    """The command that brings the database up to date: none when empty; as `shared_runtime` does it when None."""

    @property
    def database(self) -> str:
        """Name of its database, which is also the role that owns it."""
        return self.package or self.name

    @property
    def broker_user(self) -> str:
        """Its name in `shared_contracts.topology`, which is also its user at the broker."""
        return self.database.replace("_", "-")

    @property
    def serve_command(self) -> tuple[str, ...]:
        return self.serve or (sys.executable, "-m", "shared_runtime.serve", self.database)


class ServiceProcess(Part):
    """One service as a process; start it again to have it on the same port with the same settings."""

    # Longer than a service takes at most to finish what it has in hand.
    stop_timeout_s = 45.0

    def __init__(self, servers: LocalServers, service: Service, port: int | None = None) -> None:
        super().__init__(servers.folder, service.name, port)
        self.service = service
        self._servers = servers

    def launch(self) -> None:
        """Start the process without waiting until it is ready. Raises StackError when its port is taken."""
        require_free(self.port, self.name)
        command = self.service.serve_command
        self._process = spawn(self.folder, self.name, command, environment=self.environment, port=self.port)

    def obstacle(self) -> str | None:
        """Why /health/ready does not answer 200."""
        try:
            answer = httpx.get(f"{self.base_url}/health/ready", timeout=_PROBE_TIMEOUT_S, trust_env=False)
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code} {' '.join(answer.text.split())[:300]}".strip()

    @property
    def base_url(self) -> str:
        """Where its HTTP interface is, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """All variables that the process gets."""
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "SERVICE_NAME": self.service.broker_user,
            "DATABASE_URL": self._servers.database_url(self.service.database),
            "BROKER_URL": self._servers.broker_url(self.service.broker_user),
            "PORT": str(self.port),
            **self.service.environment,
        }
