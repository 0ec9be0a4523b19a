"""Ports on loopback."""

import random
import socket

from local_stack.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range that Linux hands out to outgoing connections (32768 and up): none of those can take the port while a
# server of ours is down for a restart.
_CANDIDATES = range(20_000, 32_000)


def free_port() -> int:
    """A port that nobody listens on, for a server that may also be restarted on it."""
    for port in random.sample(_CANDIDATES, 200):
        if is_free(port):
            return port
    raise StackError(f"no free port found between {_CANDIDATES.start} and {_CANDIDATES.stop}")


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
    """Raises StackError when the port is taken."""
    if not is_free(port):
        raise StackError(f"port {port}, wanted by {wanted_by}, is taken; stop what listens there or choose other ports")
