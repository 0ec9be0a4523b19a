"""Services start when they can, say why when they cannot, and nothing of a stack is left when it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aio_pika
import asyncpg
import httpx
import pytest

from local_stack.errors import AlreadyUpError, ProcessDiedError, StackError, tail
from local_stack.folder import StackFolder
from local_stack.ports import LOOPBACK, free_port, is_free
from local_stack.process_table import family_of, process_start
from local_stack.records import read_records
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from local_stack.stack import LocalStack
from local_stack.supervisor import Supervisor, read_restarts
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Topic
from shared_contracts.topology import Subscription

DEADLINE_S = 30.0
FAKE = str(Path(__file__).with_name("fake_service.py"))
DETACHING_OWNER = """
import sys
from pathlib import Path
from local_stack.stack import LocalStack
stack = LocalStack(Path(sys.argv[1]), [])
stack.start()
stack.detach()
"""
WAITING_OWNER = """
import sys, time
from pathlib import Path
from local_stack.stack import LocalStack
with LocalStack(Path(sys.argv[1]), []) as stack:
    stack.pause("postgresql")
    print("up", flush=True)
    time.sleep(1000)
"""
FOREGROUND = """
import local_stack.cli
local_stack.cli.SERVICES = ()
local_stack.cli.main()
"""
BILLING = Subscription("billing", Topic.DELIVERY_REQUESTS, (DeliveryRequested,), partitions=1)


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def processes_of(folder: Path) -> list[int]:
    """Living processes that work in the folder or name it on their command line, whoever started them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command, place = (entry / "cmdline").read_bytes(), (entry / "cwd").readlink()
        except OSError:
            continue
        ours = str(folder) in str(place) or str(folder).encode() in command
        if entry.name.isdigit() and ours and process_start(int(entry.name)) is not None:
            found.append(int(entry.name))
    return found


def require_nothing_left(folder: Path, ports: list[int]) -> None:
    assert processes_of(folder) == []
    assert [port for port in ports if not is_free(port)] == []
    assert read_records(StackFolder(folder)) == []


def ports_on_record(folder: Path) -> list[int]:
    return [record.port for record in read_records(StackFolder(folder)) if record.port is not None]


def fake(name: str, behaviour: str = "well") -> Service:
    return Service(name, serve=(sys.executable, FAKE, behaviour), migrate=())


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_stack", *arguments, "--data", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def consume(url: str, queue: str) -> None:
    async def ignore(message: object) -> None:
        """Only the permission counts."""

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await (await channel.get_queue(queue)).consume(ignore)


def settings_of(service: ServiceProcess) -> dict[str, str]:
    settings: dict[str, str] = httpx.get(f"{service.base_url}/health/ready").json()
    return settings


async def test_stack_runs_takes_in_a_fifth_service_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    environment = {"delivery": {"SPEED": "10"}}
    with LocalStack(folder, [fake("ingestion"), fake("delivery")], environment=environment) as stack:
        assert settings_of(stack.service("delivery"))["SPEED"] == "10"
        assert stack.ended() == []

        stack.kill("delivery")
        assert stack.ended() == ["delivery"]
        stack.restart("delivery")
        stack.wait_ready("delivery", DEADLINE_S)

        stack.declare_extra([BILLING], {"billing": [Topic.DELIVERY]})
        billing = stack.add_service(fake("billing"))
        assert settings_of(billing)["BROKER_URL"] == stack.broker_url("billing")
        await consume(stack.broker_url("billing"), BILLING.queue(0))
        await consume(stack.broker_url("package-service"), "package-service.delivery-events.0")
        connection = await asyncpg.connect(stack.database_url("billing"))
        await connection.close()

        with pytest.raises(AlreadyUpError):
            LocalStack(folder, []).start()
        with pytest.raises(StackError, match="no part 'tracking'; it has postgresql, rabbitmq, ingestion"):
            stack.kill("tracking")
        ports = ports_on_record(folder)
        assert len(ports) == 6
    require_nothing_left(folder, ports)


def test_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s (50 %) `#1` "Größe" $HOME; a\\b [x] 配送' / "/".join(["long"] * 60)
    with LocalServers(folder, databases=("delivery",), subscriptions=[BILLING]) as servers:
        servers.create_database("more")
        servers.create_vhost("more", [BILLING])
        ports = ports_on_record(folder)
    require_nothing_left(folder, ports)


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    owner = subprocess.Popen([sys.executable, "-c", WAITING_OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout as output:
        assert output.readline() == "up\n"
    ports = ports_on_record(folder)
    owner.kill()
    owner.wait()
    wait_for(lambda: processes_of(folder) == [])
    wait_for(lambda: all(is_free(port) for port in ports))


def test_detached_stack_outlives_its_starter_until_it_is_taken_down(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    subprocess.run([sys.executable, "-c", DETACHING_OWNER, str(folder)], check=True, timeout=60)
    ports = ports_on_record(folder)

    shown = command("status", folder=folder)
    assert shown.returncode == 0
    assert [line.split()[-1] for line in shown.stdout.splitlines()[1:4]] == ["ready"] * 3
    assert not any(secret in shown.stdout for secret in json.loads((folder / "secrets.json").read_text()).values())

    again = command("up", folder=folder)
    assert again.returncode == 0
    assert "already up" in again.stdout

    assert command("down", folder=folder).returncode == 0
    require_nothing_left(folder, ports)
    assert command("down", folder=folder).returncode == 0
    assert command("status", folder=folder).returncode == 1
    assert "database system is shut down" in command("logs", "postgresql", folder=folder).stdout


def up_alone(folder: Path, *options: str) -> None:
    """`up` without services: the servers, and what looks after them."""
    arguments = [sys.executable, "-c", FOREGROUND, "up", "--no-fleet", "--data", str(folder), *options]
    subprocess.run(arguments, check=True, timeout=60, stdout=subprocess.DEVNULL)


def restarts_shown(folder: Path) -> dict[str, str]:
    """The parts that are ready, with how often they were started again."""
    lines = [line.split() for line in command("status", folder=folder).stdout.splitlines()]
    return {words[0]: words[3] if len(words) == 5 else "0" for words in lines if words[-1] == "ready"}


@pytest.mark.parametrize("name", ["postgresql", "rabbitmq", "epmd"])
def test_server_that_dies_in_the_background_comes_back_on_its_port(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "it's a stack"
    up_alone(folder)
    try:
        before = {record.name: record for record in read_records(StackFolder(folder))}
        assert set(before) == {"epmd", "postgresql", "rabbitmq", "supervisor"}
        os.kill(before[name].pid, signal.SIGKILL)
        everything = {part: "1" if part == name else "0" for part in before}
        wait_for(lambda: restarts_shown(folder) == everything)
        after = {record.name: record for record in read_records(StackFolder(folder))}
        assert after[name].pid != before[name].pid
        assert {part: record.port for part, record in after.items()} == {
            part: record.port for part, record in before.items()
        }
        assert f"{name} ended and was started again (restart 1)" in command("logs", "supervisor", folder=folder).stdout
    finally:
        assert command("down", folder=folder).returncode == 0
    require_nothing_left(folder, [record.port for record in before.values() if record.port is not None])


def test_service_that_dies_comes_back_with_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    with LocalStack(folder, [fake("ingestion"), fake("delivery")], environment={"delivery": {"SPEED": "10"}}) as stack:
        supervisor = Supervisor(stack.folder, stack.parts)
        pid = stack.service("delivery").process.record.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: stack.ended() == ["delivery"])
        supervisor.look()
        stack.wait_ready("delivery", DEADLINE_S)
        assert settings_of(stack.service("delivery"))["SPEED"] == "10"
        assert read_restarts(stack.folder) == {"delivery": 1}


def test_database_processes_that_outlive_their_server_are_ended_before_another_starts(tmp_path: Path) -> None:
    with LocalServers(tmp_path / "stack") as servers:
        family = family_of(servers.postgres.process.record.pid)
        writer = family[-1]
        os.kill(writer, signal.SIGSTOP)
        os.kill(family[0], signal.SIGKILL)
        wait_for(lambda: not servers.postgres.is_running)
        assert process_start(writer) is not None, "it does not notice"
        servers.postgres.relaunch()
        servers.postgres.wait_ready()
        assert process_start(writer) is None


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("PORT_BASE", "0", "PORT_BASE=0 is no port number from 1 to 65531"),
        ("PORT_BASE", "-5", "PORT_BASE=-5 is no port number from 1 to 65531"),
        ("PORT_BASE", "65532", "PORT_BASE=65532 is no port number from 1 to 65531"),
        ("PORT_BASE", "http", "PORT_BASE=http is no port number from 1 to 65531"),
        ("MANAGEMENT_PORT", "65536", "MANAGEMENT_PORT=65536 is no port number from 1 to 65535"),
    ],
)
def test_port_that_is_none_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, told: str
) -> None:
    monkeypatch.setenv(setting, value)
    done = command("up", folder=tmp_path / "stack")
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{told}\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["PORT_BASE", "MANAGEMENT_PORT"])
def test_taken_port_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    folder = tmp_path / "stack"
    monkeypatch.setenv("PORT_BASE", str(free_port()))
    with socket.create_server((LOOPBACK, free_port())) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv(setting, str(port))
        done = command("up", folder=folder)
    [line] = done.stdout.splitlines()
    assert line.startswith(f"port {port}, wanted by ")
    assert done.returncode == 1
    require_nothing_left(folder, [])
    assert not (folder / "postgres").exists()


def test_logs_are_short_and_of_the_parts_that_are_named(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    for name in ("delivery", "ingestion", "guardian"):
        lines = [] if name == "guardian" else [f"{name} {number}" for number in range(100)]
        folder.log(name).write_text("".join(f"{line}\n" for line in lines))

    every = command("logs", folder=folder.root).stdout
    assert [word in every for word in ("delivery 90", "delivery 89", "ingestion 99", "guardian")] == [
        True,
        False,
        True,
        False,
    ]
    one = command("logs", "delivery", "--lines", "2", folder=folder.root)
    assert one.stdout == "delivery 98\ndelivery 99\n"

    unknown = command("logs", "billing", folder=folder.root)
    assert unknown.returncode == 1
    assert unknown.stdout == f"no log of billing in {folder.logs}; there are: delivery, guardian, ingestion\n"
    assert command("logs", "--lines", "few", folder=folder.root).stdout == "LINES=few is no number of lines\n"


def test_followed_log_goes_on(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    folder.log("delivery").write_text("first\n")
    arguments = [sys.executable, "-m", "local_stack", "logs", "delivery", "--follow", "--data", str(folder.root)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as followed:
        assert followed.stdout is not None
        assert followed.stdout.readline() == "first\n"
        with folder.log("delivery").open("a") as log:
            log.write("second\n")
        assert followed.stdout.readline() == "second\n"
        followed.terminate()


def test_failed_start_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    stack = LocalStack(folder, [fake("ingestion"), fake("delivery", "die")])
    with pytest.raises(ProcessDiedError, match="cannot find the map"):
        stack.start()
    require_nothing_left(folder, [stack.service("ingestion").port, stack.servers.postgres.port])


def test_server_that_cannot_start_ends_the_others_at_once(tmp_path: Path) -> None:
    servers = LocalServers(tmp_path / "stack")
    told = pytest.raises(StackError, match=f"port {servers.postgres.port}, wanted by postgresql, is taken")
    with socket.create_server((LOOPBACK, servers.postgres.port)), told:
        servers.start()
    assert "Server startup complete" not in tail(servers.folder.log("rabbitmq")), "nobody waited for the broker"
    require_nothing_left(servers.folder.root, list(servers.rabbitmq.ports))


def test_taken_port_of_a_service_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, free_port())) as other:
        port = other.getsockname()[1]
        stack = LocalStack(tmp_path / "stack", [fake("ingestion")], ports={"ingestion": port})
        with pytest.raises(StackError, match=f"port {port}, wanted by ingestion, is taken"):
            stack.start()
    require_nothing_left(tmp_path / "stack", [])
    assert not (tmp_path / "stack" / "postgres").exists()


@pytest.mark.parametrize(("how", "when"), [(signal.SIGINT, "while starting"), (signal.SIGTERM, "when up")])
def test_foreground_stack_ends_in_order_when_asked_to(tmp_path: Path, how: signal.Signals, when: str) -> None:
    folder = tmp_path / "stack"
    arguments = [sys.executable, "-c", FOREGROUND, "run", "--no-fleet", "--data", str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as stack:
        sign = "postgresql" if when == "while starting" else "rabbitmq"
        wait_for(lambda: stack.poll() is not None or _is_ready(folder, sign))
        ports = ports_on_record(folder)
        stack.send_signal(how)
        output, _ = stack.communicate(timeout=60)
    assert stack.returncode == 0
    assert "Stopped." in output
    require_nothing_left(folder, ports)


def _is_ready(folder: Path, name: str) -> bool:
    servers = LocalServers(folder)
    part = {"postgresql": servers.postgres, "rabbitmq": servers.rabbitmq}[name]
    return part.adopt() and part.obstacle() is None


def test_foreground_stack_ends_with_any_of_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    arguments = [sys.executable, "-c", FOREGROUND, "run", "--no-fleet", "--data", str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as stack:
        wait_for(lambda: stack.poll() is not None or _is_ready(folder, "rabbitmq"))
        [postgres] = [record.pid for record in read_records(StackFolder(folder)) if record.name == "postgresql"]
        os.kill(postgres, signal.SIGKILL)
        output, _ = stack.communicate(timeout=60)
    assert stack.returncode == 1
    assert "postgresql ended" in output
    require_nothing_left(folder, [])
