"""What the faults need of the machine is brought, and told when it cannot be."""

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest
from faultline import namespace

from local_stack.errors import StackError


class Machine:
    """A machine with some commands, on which packages can be installed or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *commands: str) -> None:
        self.installed: list[str] = []
        self.user = 0
        self.can_install = True
        self.may_unshare = True
        self.refusal = ""
        monkeypatch.setattr(os, "geteuid", lambda: self.user)
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in commands else None)
        monkeypatch.setattr(subprocess, "run", self._run)
        monkeypatch.setattr(namespace, "can_install", lambda: self.can_install)
        monkeypatch.setattr(namespace, "install", self._install)

    def _run(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == "unshare"
        return subprocess.CompletedProcess(command, 0 if self.may_unshare else 1)

    def _install(self, packages: Sequence[str]) -> None:
        if self.refusal:
            raise StackError(self.refusal)
        self.installed += packages


@pytest.mark.parametrize(
    ("commands", "packages"),
    [
        (("unshare", "ip", "nft"), []),
        (("unshare", "ip"), ["nftables"]),
        (("unshare",), ["iproute2", "nftables"]),
        ((), ["util-linux", "iproute2", "nftables"]),
    ],
)
def test_the_commands_that_are_missing_are_brought(
    monkeypatch: pytest.MonkeyPatch, commands: Sequence[str], packages: list[str]
) -> None:
    machine = Machine(monkeypatch, *commands)
    namespace.bring_tools()
    assert machine.installed == packages


def test_nothing_is_installed_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "unshare")
    machine.user = 1000
    namespace.bring_tools()
    assert machine.installed == []
    assert namespace.obstacle() == "namespaces need root"


def test_nothing_is_installed_where_there_are_no_such_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "unshare")
    machine.can_install = False
    namespace.bring_tools()
    assert machine.installed == []


def test_nothing_is_installed_where_namespaces_are_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "unshare")
    machine.may_unshare = False
    namespace.bring_tools()
    assert machine.installed == []


def test_what_cannot_be_installed_is_told_as_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "unshare")
    machine.refusal = "no such package"
    namespace.bring_tools()
    assert namespace.obstacle() == "the command ip is missing"
