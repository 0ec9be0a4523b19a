"""A service is up when it says so, and when it is not, the reason is told at once."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from local_stack.errors import ProcessDiedError, StackError
from local_stack.migrations import migrate_services
from local_stack.ports import LOOPBACK, free_port, is_free
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess

FAKE = str(Path(__file__).with_name("fake_service.py"))


@contextmanager
def service(servers: LocalServers, behaviour: str = "well", migration: str = "") -> Iterator[ServiceProcess]:
    """A service that stands in for drone_scheduler; ended in any case."""
    fake = Service(
        "drone_scheduler",
        environment={"SPEED": "10"},
        serve=(sys.executable, FAKE, behaviour),
        migrate=(sys.executable, "-c", migration),
    )
    process = ServiceProcess(servers, fake)
    try:
        yield process
    finally:
        process.stop()


def test_service_gets_its_database_its_broker_user_and_its_settings(servers: LocalServers) -> None:
    with service(servers) as process:
        process.start()
        settings = httpx.get(f"{process.base_url}/health/ready").json()
    assert settings == {
        "SERVICE_NAME": "drone-scheduler",
        "DATABASE_URL": servers.database_url("drone_scheduler"),
        "BROKER_URL": servers.broker_url("drone-scheduler"),
        "SPEED": "10",
    }
    assert is_free(process.port)


def test_death_while_starting_is_told_at_once_with_the_log(servers: LocalServers) -> None:
    with (
        service(servers, "die") as process,
        pytest.raises(ProcessDiedError, match=r"(?s)status 1.*cannot find the map"),
    ):
        process.start()


def test_service_that_never_gets_ready_is_given_up_with_its_reason(servers: LocalServers) -> None:
    with service(servers, "unready") as process:
        process.launch()
        with pytest.raises(StackError, match=r"drone_scheduler was not ready within 1 s \(HTTP 503 .*SPEED"):
            process.wait_ready(timeout_s=1.0)


def test_service_that_ignores_the_request_to_end_is_killed(servers: LocalServers) -> None:
    with service(servers, "stubborn") as process:
        process.stop_timeout_s = 0.3
        process.start()
        process.stop()
        assert not process.process.is_running
        assert is_free(process.port)


def test_killed_service_comes_back_on_its_port(servers: LocalServers) -> None:
    with service(servers) as process:
        process.start()
        process.kill()
        assert is_free(process.port)
        process.restart()
        assert httpx.get(f"{process.base_url}/health/ready").is_success


def test_paused_service_does_not_answer_until_it_is_resumed(servers: LocalServers) -> None:
    with service(servers) as process:
        process.start()
        process.pause()
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"{process.base_url}/health/ready", timeout=0.3)
        process.resume()
        process.wait_ready()


def test_taken_port_is_named(servers: LocalServers) -> None:
    with socket.create_server((LOOPBACK, free_port())) as other:
        port = other.getsockname()[1]
        process = ServiceProcess(servers, Service("ingestion"), port)
        with pytest.raises(StackError, match=f"port {port}, wanted by ingestion, is taken"):
            process.start()


def test_failed_migration_is_told_with_its_log(servers: LocalServers) -> None:
    told = r"(?s)drone_scheduler\.migration failed \(exit status 1\).*no such revision"
    migration = "import sys; sys.exit('no such revision')"
    with service(servers, migration=migration) as process, pytest.raises(StackError, match=told):
        migrate_services(servers, [process])


def test_migration_runs_with_the_settings_of_the_service(servers: LocalServers) -> None:
    with service(servers, migration="import json, os; print(json.dumps(dict(os.environ)))") as process:
        migrate_services(servers, [process])
    log = servers.folder.log("drone_scheduler.migration").read_text()
    assert json.loads(log.splitlines()[-1])["DATABASE_URL"] == servers.database_url("drone_scheduler")
