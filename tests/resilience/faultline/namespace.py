"""A network and a mount namespace of the trial's own: what faults leave in there ends with it, whatever happens."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import structlog

from local_stack.errors import StackError
from local_stack.system_packages import can_install, install

log = structlog.get_logger(__name__)

_MARK = "FAULTLINE_NAMESPACE"
_PACKAGE_OF = {"unshare": "util-linux", "ip": "iproute2", "nft": "nftables"}


def is_inside() -> bool:
    """Whether this process is in a namespace that was made for it."""
    return os.environ.get(_MARK) == "1"


def bring_tools() -> None:
    """Install the commands that are missing, where namespaces are allowed. Without them faults are told as impossible.

    To be called once, before processes start that run trials side by side.
    """
    missing = [package for command, package in _PACKAGE_OF.items() if shutil.which(command) is None]
    if not missing or os.geteuid() != 0 or not can_install() or not _may_unshare():
        return
    try:
        install(missing)
    except StackError as error:
        log.warning("tools_missing", error=str(error))


def _may_unshare() -> bool:
    """Whether the machine lets us have namespaces; also when that cannot be told yet."""
    if shutil.which("unshare") is None:
        return True
    return subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode == 0


def obstacle() -> str | None:
    """Why this machine does not let us have namespaces of our own, None when it does."""
    if os.geteuid() != 0:
        return "namespaces need root"
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            return f"the command {tool} is missing"
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, check=False
    )
    return None if probe.returncode == 0 else probe.stderr.strip() or "unshare failed"


def command_inside(command: Sequence[str]) -> list[str]:
    """The command, in namespaces of its own where the machine allows that."""
    if obstacle() is not None:
        return list(command)
    # The shell brings the loopback interface up and becomes the command.
    script = 'ip link set lo up && exec "$@"'
    return [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "env",
        f"{_MARK}=1",
        "sh",
        "-c",
        script,
        "faultline",
        *command,
    ]


def nft_obstacle() -> str | None:
    """Why packets cannot be dropped here, None when they can."""
    if not is_inside():
        return f"no network namespace of its own ({obstacle() or 'started outside'})"
    if shutil.which("nft") is None:
        return "the command nft is missing"
    probe = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else probe.stderr.strip()


def nft(*statements: str) -> str:
    """Change or read the packet filter of this namespace. Raises RuntimeError outside of one, or when it refuses."""
    if not is_inside():
        raise RuntimeError("the packet filter of the machine itself is never touched")
    done = subprocess.run(
        ["nft", "-f", "-"], input="\n".join(statements) + "\n", capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"nft refused: {done.stderr.strip()}")
    return done.stdout


def mount_tmpfs(folder: str, size_bytes: int, *, remount: bool = False) -> None:
    """A file system in memory at the folder, or another size for the one that is there.

    Raises RuntimeError outside of a mount namespace, or when the system refuses.
    """
    if not is_inside():
        raise RuntimeError("file systems are mounted in a namespace only")
    options = f"{'remount,' if remount else ''}size={size_bytes}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"mount refused: {done.stderr.strip()}")


def enter() -> None:
    """Run this very program again inside, unless it is there already or the machine does not allow it."""
    if is_inside():
        return
    command = [sys.executable, "-m", "faultline", *sys.argv[1:]]
    inside = command_inside(command)
    if inside != command:
        os.execvp(inside[0], inside)  # noqa: S606 - no shell wanted
