"""The suite in containers, under a project name and on a port of its own."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

T = TypeVar("T")

CHECKOUT = Path(__file__).parents[3]
BUILD_TIMEOUT_S = 1_800.0
START_TIMEOUT_S = 300.0
COMMAND_TIMEOUT_S = 120.0
_ENGINE_TIMEOUT_S = 15.0
_EVERY_CONTAINER = ("--profile", "demo", "--profile", "check")


class ComposeStack:
    """What `docker compose up` of this checkout gives."""

    def __init__(self, project: str) -> None:
        self.project = project

    def compose(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run `docker compose` with these arguments and return what it prints. Fails the test when that fails."""
        command = ["docker", "compose", "--project-name", self.project, "--file", "docker-compose.yml", *arguments]
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "GATEWAY_ADDRESS": "127.0.0.1:0", "SPEED_FACTOR": "200", "DRONES": "10"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def build(self) -> None:
        """Build all images from the checkout."""
        self.compose(*_EVERY_CONTAINER, "build", timeout_s=BUILD_TIMEOUT_S)

    def up(self, *services: str) -> None:
        """Start what is not up, and wait until it is healthy."""
        self.compose("up", "--detach", "--wait", *services, timeout_s=START_TIMEOUT_S)

    def remove(self) -> None:
        """Remove containers, networks, volumes and the images that were built."""
        everything = ("--volumes", "--remove-orphans", "--rmi", "local")
        self.compose(*_EVERY_CONTAINER, "down", *everything, "--timeout", "5", timeout_s=START_TIMEOUT_S)

    def python(self, service: str, program: str, *arguments: str) -> dict[str, str]:
        """Run a program in a service's container, with its files and rights. Returns the JSON that it prints."""
        result: dict[str, str] = json.loads(self.compose("exec", "-T", service, "python", "-c", program, *arguments))
        return result

    def python_instead(self, service: str, program: str, *arguments: str) -> dict[str, Any]:
        """Run a program in a container of its own, made as the service's would be. Returns the JSON that it prints."""
        run = (*_EVERY_CONTAINER, "run", "--rm", "--no-deps", "-T", service, "python", "-c", program, *arguments)
        result: dict[str, Any] = json.loads(self.compose(*run))
        return result

    @contextmanager
    def created(self, service: str) -> Iterator[dict[str, Any]]:
        """What the engine tells of a service's container that is there, but does not run."""
        self.compose(*_EVERY_CONTAINER, "create", "--no-build", service)
        try:
            yield self.containers()[service]
        finally:
            self.compose(*_EVERY_CONTAINER, "rm", "--force", service)

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine tells of each container, by its name in docker-compose.yml."""
        ids = self.compose(*_EVERY_CONTAINER, "ps", "--all", "--quiet").split()
        told = json.loads(docker("inspect", *ids)) if ids else []
        return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in told}

    def wait_healthy(self) -> None:
        """Wait until every container is well again, however it came not to be. Fails the test when that takes long."""

        def unwell() -> list[str]:
            told = ((name, container["State"].get("Health")) for name, container in self.containers().items())
            return [name for name, health in told if health and health["Status"] != "healthy"]

        eventually(lambda: not unwell() or None, "all containers are healthy")

    def troubles(self) -> list[str]:
        """The last log lines of each container that failed or is unhealthy."""
        states = {name: container["State"] for name, container in self.containers().items()}
        return [
            f"{name} ({state['Status']}):\n{self.compose('logs', '--no-log-prefix', '--tail', '30', name)}"
            for name, state in states.items()
            if state["ExitCode"] or state.get("Health", {}).get("Status") == "unhealthy"
        ]

    def client(self, subject: str, role: str = "") -> httpx.Client:
        """Somebody who calls the gateway."""
        # Asked each time, because a gateway that is started again is published on another port.
        address = self.compose("port", "gateway", "8080").strip()
        headers = {"X-Subject": subject, "X-Roles": role}
        return httpx.Client(base_url=f"http://{address}", headers=headers, timeout=10, trust_env=False)


def docker(*arguments: str) -> str:
    """Run `docker` and return what it prints."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stderr}"
    return done.stdout


def engine_answers() -> bool:
    """Whether there is a Docker engine, and Compose."""
    if shutil.which("docker") is None:
        return False
    commands = (["docker", "info"], ["docker", "compose", "version"])
    try:
        return all(
            subprocess.run(command, capture_output=True, timeout=_ENGINE_TIMEOUT_S, check=False).returncode == 0
            for command in commands
        )
    except subprocess.TimeoutExpired:
        return False


def eventually(find: Callable[[], T | None], what: str, timeout_s: float = 60.0) -> T:
    """The first answer of `find` that is not None. Fails the test when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = find()
        if found is not None:
            return found
        time.sleep(0.3)
    pytest.fail(f"not within {timeout_s:g} s: {what}")
