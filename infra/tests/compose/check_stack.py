"""What docker-compose.yml promises, on real containers. Run by `make compose-test`; too slow for `make test`.

The name keeps pytest from finding it unless it is asked for by name.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import probes
import pytest
from compose_stack import ComposeStack, docker, eventually

SERVICES = ("ingestion", "package_service", "drone_scheduler", "delivery", "dead_letters")
STEPS = ("secrets", "databases")
NOT_IN_IMAGES = ("pytest", "mypy", "ruff", "hypothesis", "testcontainers", "importlinter", "uv", "tests")
FORCED_END = 137
"""128 + SIGKILL."""
ZURICH = {"latitude": 47.374, "longitude": 8.541, "altitude_m": 410.0}
TWO_KM_NORTH = {"latitude": 47.392, "longitude": 8.541, "altitude_m": 410.0}


def request_delivery(stack: ComposeStack) -> str:
    """Ask for a delivery that may start at once, and return the path of its status."""
    now = datetime.now(UTC)
    body = {
        "pickup": ZURICH,
        "dropoff": TWO_KM_NORTH,
        "pickup_time": (now + timedelta(seconds=5)).isoformat(),
        "deadline": (now + timedelta(hours=2)).isoformat(),
        "package": {"size": "Small", "weight_kg": 1.2, "tag": ""},
    }
    with stack.client("alice") as alice:
        answer = answered(alice, "POST", "/api/v1/deliveryrequests", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])


def register_drone(stack: ComposeStack) -> None:
    drone = {"payload_kg": 5.0, "range_m": 30_000.0, "cruise_speed_mps": 20.0, "location": ZURICH}
    with stack.client("staff", "fleet") as staff:
        answer = answered(staff, "POST", "/api/v1/drones", json=drone)
    assert answer.status_code == 201, answer.text


def answered(caller: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    """The answer of a service. As long as none answers, because something is being started again, ask again."""

    def ask() -> httpx.Response | None:
        try:
            answer = caller.request(method, path, **content)
        except httpx.TransportError:
            return None
        return None if answer.is_server_error else answer

    return eventually(ask, f"an answer to {method} {path}")


def reached(stack: ComposeStack, status_path: str, stage: str) -> dict[str, Any]:
    """Follow a delivery to this stage. Fails when it ends in another, or takes too long."""

    def look() -> dict[str, Any] | None:
        status: dict[str, Any] = answered(alice, "GET", status_path).json()
        assert status["stage"] == stage or not status["is_ended"], status
        return status if status["stage"] == stage else None

    with stack.client("alice") as alice:
        return eventually(look, f"{status_path} is {stage}")


def assert_problem(answer: httpx.Response) -> None:
    """The body tells the problem, and the headers do not tell the version of the server."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert answer.headers["Server"] == "nginx"


def assert_confined(name: str, container: dict[str, Any]) -> None:
    """It has no more rights than it needs, and sees nothing of the machine."""
    limits = container["HostConfig"]
    assert container["Config"]["User"] not in {"", "0", "root"}, name
    assert limits["ReadonlyRootfs"], name
    assert limits["CapDrop"] == ["ALL"], name
    assert not limits["CapAdd"], name
    assert not limits["Privileged"], name
    assert "no-new-privileges:true" in limits["SecurityOpt"], name
    assert limits["Memory"] > 0, name
    assert not [mount for mount in container["Mounts"] if mount["Type"] == "bind"], name


def test_every_container_is_up_and_every_step_is_done_when_compose_says_so(stack: ComposeStack) -> None:
    states = {name: container["State"] for name, container in stack.containers().items()}
    assert {name for name, state in states.items() if state["Status"] == "running"} == {
        *SERVICES, "gateway", "postgres", "rabbitmq",
    }  # fmt: skip
    assert all(state["Health"]["Status"] == "healthy" for name, state in states.items() if name not in STEPS)
    assert all(states[step]["ExitCode"] == 0 for step in STEPS)
    assert all(container["RestartCount"] == 0 for container in stack.containers().values())


def test_request_through_the_gateway_is_scheduled(stack: ComposeStack) -> None:
    register_drone(stack)
    status = reached(stack, request_delivery(stack), "Created")
    assert status["drone_id"] is not None
    assert status["scheduled_at"] is not None


def test_no_process_runs_as_root(stack: ComposeStack) -> None:
    for name, container in stack.containers().items():
        if name not in STEPS:
            processes = docker("top", container["Id"], "-eo", "uid,pid,comm").splitlines()[1:]
            assert processes, name
            assert all(int(process.split()[0]) > 0 for process in processes), (name, processes)


def test_every_container_is_confined(stack: ComposeStack) -> None:
    for name, container in stack.containers().items():
        assert_confined(name, container)
        restarted = container["HostConfig"]["RestartPolicy"]["Name"]
        assert restarted == ("on-failure" if name in STEPS else "unless-stopped"), name


@pytest.mark.parametrize("name", ["fleet_simulator", "demo"])
def test_container_of_a_profile_is_confined_too(stack: ComposeStack, name: str) -> None:
    with stack.created(name) as container:
        assert_confined(name, container)


def test_nothing_but_the_gateway_is_published_and_only_on_loopback(stack: ComposeStack) -> None:
    # As asked for: the engine itself leaves out what is on an internal network only.
    published = {
        (name, port, binding["HostIp"])
        for name, container in stack.containers().items()
        for port, bindings in (container["HostConfig"]["PortBindings"] or {}).items()
        for binding in bindings
    }
    assert published == {("gateway", "8080/tcp", "127.0.0.1")}


@pytest.mark.parametrize("service", SERVICES)
def test_service_sees_its_own_secrets_and_shows_none(stack: ComposeStack, service: str) -> None:
    seen = stack.python(service, probes.CONTENTS, *NOT_IN_IMAGES)
    assert seen == {
        "secrets": ["broker_url", "database_url"],
        "modes": ["-r--r-----"],
        "development_packages": [],
        "passwords_in_environment": [],
    }


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("fleet_simulator", ["broker_url"]),
        ("demo", sorted(["admin_broker_url", "fleet_broker_url", *(f"{one}_database_url" for one in SERVICES)])),
    ],
)
def test_container_of_a_profile_sees_its_own_secrets_and_shows_none(
    stack: ComposeStack, name: str, secrets: list[str]
) -> None:
    seen = stack.python_instead(name, probes.CONTENTS)
    assert seen == {
        "secrets": secrets,
        "modes": ["-r--r-----"],
        "development_packages": [],
        "passwords_in_environment": [],
    }


@pytest.mark.parametrize("service", SERVICES)
def test_service_may_connect_to_no_database_but_its_own(stack: ComposeStack, service: str) -> None:
    outcomes = stack.python(service, probes.CONNECT_TO_DATABASES, *SERVICES, "postgres", "template1")
    assert outcomes.pop(service) == "connected"
    assert set(outcomes.values()) == {"InsufficientPrivilegeError"}, outcomes


@pytest.mark.parametrize("service", SERVICES)
def test_service_may_read_no_queue_but_its_own_and_support_all_dead_letters(stack: ComposeStack, service: str) -> None:
    definitions = json.loads(stack.compose("exec", "-T", "rabbitmq", "cat", "/etc/rabbitmq/topology.json"))
    user = service.replace("_", "-")
    queues = [queue["name"] for queue in definitions["queues"]]
    looked_after = "" if service == "dead_letters" else f"{user}."
    dead_letters = [name for name in queues if name.startswith(looked_after) and name.endswith(".dead-letters")]
    others = [name for name in queues if not name.startswith(f"{user}.") and name not in dead_letters]
    outcomes = stack.python(service, probes.READ_QUEUES, *dead_letters, *others)
    assert outcomes == dict.fromkeys(dead_letters, "read") | dict.fromkeys(others, "ChannelAccessRefused")


def test_only_delivery_may_tell_how_a_delivery_ended(stack: ComposeStack) -> None:
    outcomes = {
        service: stack.python(service, probes.WRITE_TO_EXCHANGES, "delivery-events")["delivery-events"]
        for service in SERVICES
    }
    assert outcomes == dict.fromkeys(SERVICES, "ChannelAccessRefused") | {"delivery": "written"}


def test_no_default_password_is_in_use(stack: ComposeStack) -> None:
    broker = [
        f"amqp://{user}:{password}@rabbitmq/"
        for user, password in (("guest", "guest"), ("admin", "admin"), ("admin", ""), ("delivery", "delivery"))
    ]
    database = [
        f"postgresql://{user}:{password}@postgres/{user}"
        for user, password in (("postgres", "postgres"), ("postgres", ""), ("delivery", "delivery"))
    ]
    outcomes = stack.python("ingestion", probes.LOG_IN, *broker, *database)
    assert {outcomes[url] for url in broker} == {"ProbableAuthenticationError"}, outcomes
    assert {outcomes[url] for url in database} == {"InvalidPasswordError"}, outcomes
    assert "guest" not in stack.compose("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "list_users")


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/health/ready", "/docs", "/openapi.json", "/api/v1", "/api/v1/deliveriesandmore"]
)
def test_gateway_hides_what_is_not_for_callers(stack: ComposeStack, path: str) -> None:
    with stack.client("alice") as alice:
        answer = alice.get(path)
    assert answer.status_code == 404
    assert_problem(answer)


def test_gateway_reaches_each_service(stack: ComposeStack) -> None:
    answered = {
        "/api/v1/deliveryrequests": 200,
        "/api/v1/packages/summary/alice": 200,
        "/api/v1/drones": 200,
        "/api/v1/dronedeliveries": 200,
        "/api/v1/utilization?year=2026&month=1": 200,
        "/api/v1/deliveries": 200,
    }
    with stack.client("alice", "fleet") as alice:
        assert {path: alice.get(path).status_code for path in answered} == answered


def test_gateway_refuses_a_body_beyond_the_limit(stack: ComposeStack) -> None:
    with stack.client("alice") as alice:
        answer = alice.post("/api/v1/deliveryrequests", content=b" " * (256 * 1024 + 1))
    assert answer.status_code == 413
    assert_problem(answer)


def test_gateway_says_so_when_a_service_is_down_and_finds_it_again(stack: ComposeStack) -> None:
    path = "/api/v1/packages/summary/alice"
    stack.compose("stop", "package_service")
    assert stack.containers()["package_service"]["State"]["ExitCode"] != FORCED_END
    with stack.client("alice") as alice:
        answer = alice.get(path)
        assert answer.status_code in {502, 503, 504}
        assert_problem(answer)
        stack.up("package_service")
        assert answered(alice, "GET", path).status_code == 200


def test_second_up_keeps_passwords_and_containers(stack: ComposeStack) -> None:
    before = {name: stack.containers()[name]["State"]["StartedAt"] for name in SERVICES}
    stack.up()
    stack.compose("restart", "ingestion")
    stack.up()
    after = {name: stack.containers()[name]["State"]["StartedAt"] for name in SERVICES}
    assert {name for name in SERVICES if before[name] != after[name]} == {"ingestion"}


def test_more_replicas_of_a_service_start_together_and_share_the_work(stack: ComposeStack) -> None:
    stack.compose("up", "--detach", "--wait", "--scale", "delivery=2", "delivery", timeout_s=300)
    register_drone(stack)
    reached(stack, request_delivery(stack), "Created")
    stack.compose("up", "--detach", "--wait", "--scale", "delivery=1", "delivery", timeout_s=300)


@pytest.mark.parametrize("name", ["delivery", "rabbitmq", "postgres", "gateway"])
def test_suite_heals_when_a_container_is_started_again(stack: ComposeStack, name: str) -> None:
    stack.compose("restart", name)
    register_drone(stack)
    reached(stack, request_delivery(stack), "Created")
    stack.wait_healthy()


def test_service_that_crashed_is_started_again(stack: ComposeStack) -> None:
    stack.compose("exec", "-T", "drone_scheduler", "python", "-c", probes.CRASH)
    eventually(lambda: stack.containers()["drone_scheduler"]["RestartCount"] or None, "the engine starts it again")
    stack.wait_healthy()


def test_simulated_fleet_completes_a_delivery(stack: ComposeStack) -> None:
    stack.compose("--profile", "demo", "up", "--detach", "--wait", "fleet_simulator", timeout_s=300)
    reached(stack, request_delivery(stack), "Completed")
