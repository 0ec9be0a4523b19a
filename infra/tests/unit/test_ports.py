"""Ports are chosen where nothing else gets in the way."""

import socket
from pathlib import Path

import pytest

from local_stack.errors import StackError
from local_stack.ports import LOOPBACK, free_port, is_free, require_free


def test_free_port_can_be_listened_on() -> None:
    with socket.create_server((LOOPBACK, free_port())) as server:
        assert not is_free(server.getsockname()[1])


def test_free_port_is_none_that_outgoing_connections_get() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(20))


def test_taken_port_is_named_with_who_wanted_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port}, wanted by ingestion, is taken"):
            require_free(port, "ingestion")
