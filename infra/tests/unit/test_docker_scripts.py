"""What `make up` and `make logs` ask of Docker Compose, and what they refuse before they ask."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from local_stack.ports import LOOPBACK, free_port

SCRIPTS = Path(__file__).parents[2] / "docker"
# Stands in for the command `docker`: tells of two services and of a gateway that runs or not, and repeats the rest.
DOCKER = """#!/bin/sh
case "$*" in
  *"config --services") printf 'delivery\\ningestion\\n' ;;
  *"ps --quiet gateway") printf '%s' "$RUNNING_GATEWAY" ;;
  *) echo "$*, gateway at ${GATEWAY_ADDRESS:-its default}" ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    command = tmp_path / "docker"
    command.write_text(DOCKER)
    command.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RUNNING_GATEWAY": ""}


def run(script: str, environment: dict[str, str], *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / script), *arguments]
    return subprocess.run(command, env={**environment, **settings}, capture_output=True, text=True, check=False)


def test_logs_are_short_and_of_all_services(environment: dict[str, str]) -> None:
    assert run("logs.sh", environment).stdout.startswith("compose --profile demo logs --tail 10,")


def test_logs_are_of_the_service_that_is_named_as_long_as_is_said(environment: dict[str, str]) -> None:
    done = run("logs.sh", environment, "delivery", LINES="200", FOLLOW="1")
    assert done.stdout.startswith("compose --profile demo logs --tail 200 --follow delivery,")


@pytest.mark.parametrize(
    ("service", "lines", "told"),
    [
        ("billing", "10", "no service billing; there are: delivery ingestion\n"),
        ("deliver", "10", "no service deliver; there are: delivery ingestion\n"),
        ("delivery", "few", "LINES=few is no number of lines\n"),
    ],
)
def test_logs_of_what_is_not_there_are_refused(
    environment: dict[str, str], service: str, lines: str, told: str
) -> None:
    done = run("logs.sh", environment, service, LINES=lines)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_gateway_listens_where_ingestion_does_without_containers(environment: dict[str, str]) -> None:
    port = str(free_port())
    done = run("up.sh", environment, PORT_BASE=port)
    assert done.stdout == f"compose --profile demo up --detach --build --wait, gateway at 127.0.0.1:{port}\n"


def test_gateway_listens_where_the_user_says(environment: dict[str, str]) -> None:
    done = run("up.sh", environment, GATEWAY_ADDRESS="0.0.0.0:80", PORT_BASE="no matter")
    assert done.stdout.endswith("gateway at 0.0.0.0:80\n")


@pytest.mark.parametrize("port", ["0", "-1", "65536", "100000000000000000000", "http"])
def test_port_that_is_none_is_refused_in_one_line(environment: dict[str, str], port: str) -> None:
    done = run("up.sh", environment, PORT_BASE=port)
    told = f"PORT_BASE={port} is no port number from 1 to 65535\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_taken_port_is_refused_unless_this_stack_took_it(environment: dict[str, str]) -> None:
    with socket.create_server((LOOPBACK, free_port())) as other:
        port = str(other.getsockname()[1])
        refused = run("up.sh", environment, PORT_BASE=port)
        again = run("up.sh", environment, PORT_BASE=port, RUNNING_GATEWAY="4f5e")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"port {port}, wanted by the gateway, is taken;")
    assert refused.stdout == ""
    assert again.returncode == 0
