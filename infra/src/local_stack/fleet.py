"""The simulated fleet as a process, so that the suite on this machine delivers what it is asked to."""

import os
import sys

import httpx

from local_stack.broker_definitions import FLEET_USER
from local_stack.part import Part
from local_stack.processes import spawn
from local_stack.servers import LocalServers

NAME = "fleet_simulator"
_PROBE_TIMEOUT_S = 2.0


class FleetProcess(Part):
    """A client of the services' public interfaces. It listens on no port; it is ready when it has brought drones."""

    def __init__(self, servers: LocalServers, *, scheduler_url: str = "", delivery_url: str = "") -> None:
        super().__init__(servers.folder, NAME)
        self._servers = servers
        self._scheduler_url = scheduler_url
        self._delivery_url = delivery_url

    def launch(self) -> None:
        """Start the process; it registers its drones and then flies what is booked."""
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "DRONE_SCHEDULER_URL": self._scheduler_url,
            "DELIVERY_URL": self._delivery_url,
            "FLEET_BROKER_URL": self._servers.broker_url(FLEET_USER),
        }
        self._process = spawn(self.folder, NAME, (sys.executable, "-m", NAME), environment=environment)

    def obstacle(self) -> str | None:
        """Whether the scheduler knows of no drone yet. Asked only by the process that started the fleet."""
        if not self._scheduler_url:
            return None
        try:
            answer = httpx.get(
                f"{self._scheduler_url}/api/v1/drones",
                params={"limit": 1},
                headers={"X-Subject": "local-stack", "X-Roles": "fleet"},
                timeout=_PROBE_TIMEOUT_S,
                trust_env=False,
            )
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        if not answer.is_success:
            return f"HTTP {answer.status_code} from the drone scheduler"
        return None if answer.json()["items"] else "no drone is registered yet"
