"""Ports on loopback."""

import os
import random
import socket
from pathlib import Path

from local_stack.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range that Linux hands out to outgoing connections (32768 and up): none of those can take the port while a
# server of ours is down for a restart.
_CANDIDATES = range(20_000, 32_000)
_ATTEMPTS = 200
# Servers of a stack choose theirs before any of them listens. Of ten random ones two are the same once in 250 times.
_not_given: list[int] = []


def free_port() -> int:
    """A port that nobody listens on, for a server that may also be restarted on it.

    No two of a process are the same, until all have been given.
    """
    for _ in range(_ATTEMPTS):
        if not _not_given:
            _not_given.extend(random.sample(_CANDIDATES, len(_CANDIDATES)))
        port = _not_given.pop()
        if is_free(port):
            return port
    raise StackError(f"no free port found between {_CANDIDATES.start} and {_CANDIDATES.stop}")


def port_number(text: str | int, name: str, *, room_for: int = 1) -> int:
    """The port that a setting names, with room for so many ports from there. Raises StackError for anything else."""
    highest = 65_536 - room_for
    if not str(text).isdecimal() or not 1 <= int(text) <= highest:
        raise StackError(f"{name}={text} is no port number from 1 to {highest}")
    return int(text)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface."""
    with socket.socket() as probe:
        # Connections of a former server in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(port: int, wanted_by: str) -> None:
    """Raises StackError when the port is taken, or kept from users like this one."""
    if not is_free(port):
        if port < _first_port_for_all():
            raise StackError(f"port {port}, wanted by {wanted_by}, is for root only or taken; choose other ports")
        raise StackError(f"port {port}, wanted by {wanted_by}, is taken; stop what listens there or choose other ports")


def _first_port_for_all() -> int:
    """The first one that an ordinary user may listen on; all are for root."""
    return 1 if os.geteuid() == 0 else int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
