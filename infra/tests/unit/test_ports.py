"""Ports are chosen where nothing else gets in the way."""

import socket
from pathlib import Path

import pytest

from local_stack.errors import StackError
from local_stack.ports import LOOPBACK, free_port, is_free, port_number, require_free


def test_free_port_can_be_listened_on() -> None:
    with socket.create_server((LOOPBACK, free_port())) as server:
        assert not is_free(server.getsockname()[1])


def test_servers_that_choose_before_any_of_them_listens_get_different_ports() -> None:
    ports = [free_port() for _ in range(1000)]
    assert len(set(ports)) == len(ports)


def test_free_port_is_none_that_outgoing_connections_get() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(free_port() < lowest for _ in range(20))


def test_taken_port_is_named_with_who_wanted_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port}, wanted by ingestion, is taken"):
            require_free(port, "ingestion")


@pytest.mark.parametrize("text", ["0", "-1", "65533", "99999999", "http", "", "8081.5", "\u00b2"])
def test_port_that_is_none_is_refused_with_its_setting_and_what_it_may_be(text: str) -> None:
    with pytest.raises(StackError, match=f"^PORT_BASE={text} is no port number from 1 to 65532$"):
        port_number(text, "PORT_BASE", room_for=4)


def test_highest_port_that_leaves_room_for_the_others_is_taken() -> None:
    assert port_number("65532", "PORT_BASE", room_for=4) == 65532
