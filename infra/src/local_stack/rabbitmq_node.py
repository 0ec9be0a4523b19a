"""How a private RabbitMQ node is told apart from any other: its files, ports and environment, and calls into it."""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import write_private
from local_stack.ports import LOOPBACK
from local_stack.processes import run_command

SERVER_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The package's own script. The one in /usr/sbin switches to the user of the system's broker."""

# How the node calls its own folder, whose name may hold anything: there is no quoting in its settings file, and the
# path of its data goes to a shell as it is (rabbit_disk_monitor of 3.10), which waits for ever behind an apostrophe.
_OWN_FOLDER = "/proc/self/cwd"
_NODE_NAME = "local-stack@localhost"
WAL_BYTES = 32 * 1024 * 1024
"""What the node writes to its log of quorum queues it keeps in memory, handled or not, until it begins a new log. Its
own limit of 512 MiB is for machines that serve nothing else."""
_CALL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class NodeFiles:
    """Files of one node, all below one folder, which is to be the node's working folder."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def configuration(self) -> Path:
        return self.root / "rabbitmq.conf"

    @property
    def definitions(self) -> Path:
        return self.root / "definitions.json"

    @property
    def enabled_plugins(self) -> Path:
        return self.root / "enabled_plugins"

    def prepare(self, port: int, definitions: str, management_port: int | None) -> None:
        """Write everything that the node reads at boot."""
        for folder in (self.root, self.home):
            folder.mkdir(mode=0o700, exist_ok=True)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, secrets.token_hex(20))
        write_private(self.definitions, definitions)
        write_private(self.enabled_plugins, "[rabbitmq_management].\n" if management_port else "[].\n")
        write_private(self.configuration, self._configuration(port, management_port))

    def _configuration(self, port: int, management_port: int | None) -> str:
        lines = [
            f"listeners.tcp.local = {LOOPBACK}:{port}",
            f"load_definitions = {_OWN_FOLDER}/{self.definitions.name}",
            f"raft.wal_max_size_bytes = {WAL_BYTES}",
            "log.console = true",
            "log.console.level = info",
            "log.console.use_colors = off",
            "log.file = false",
        ]
        if management_port:
            lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {management_port}"]
        return "\n".join(lines) + "\n"

    def environment(self, epmd_port: int, distribution_port: int | None = None) -> dict[str, str]:
        """What server and command line tools need to know; nothing of a system-wide configuration gets in."""
        loopback_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": _NODE_NAME,
            "RABBITMQ_CONFIG_FILE": f"{_OWN_FOLDER}/{self.configuration.name}",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{_OWN_FOLDER}/{self.enabled_plugins.name}",
            "RABBITMQ_MNESIA_BASE": f"{_OWN_FOLDER}/data",
            "RABBITMQ_LOG_BASE": f"{_OWN_FOLDER}/log",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback_only,
            "RABBITMQ_CTL_ERL_ARGS": loopback_only,
            # Makes the script become the server instead of staying in front of it: one process to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        if distribution_port is not None:
            environment["RABBITMQ_DIST_PORT"] = str(distribution_port)
        return environment


def call(files: NodeFiles, epmd_port: int, expression: str) -> str:
    """Evaluate an Erlang expression in the running node and return its value as text.

    Takes milliseconds, where the command line tools start a virtual machine of their own for each call. Raises
    StackError when the node does not answer, or with the reason when the value is an error.
    """
    done = run_command(
        ["erl_call", "-sname", _NODE_NAME, "-timeout", str(int(_CALL_TIMEOUT_S)), "-e"],
        environment=files.environment(epmd_port),
        given=f"{expression}.\n",
        timeout_s=_CALL_TIMEOUT_S + 5,
    )
    value = re.fullmatch(r"\{ok, (.*)\}", done.stdout.strip(), re.DOTALL)
    if done.returncode != 0 or value is None or value[1].startswith("{error"):
        raise StackError(f"RabbitMQ refused: {done.stdout.strip()} {done.stderr.strip()}")
    return value[1]


def erlang_text(text: str) -> str:
    """An Erlang binary of plain text. Raises StackError for what would need escaping."""
    if not re.fullmatch(r"[\w./@:+~ -]*", text, re.ASCII):
        raise StackError(f"{text!r} holds characters that are not allowed here")
    return f'<<"{text}">>'
