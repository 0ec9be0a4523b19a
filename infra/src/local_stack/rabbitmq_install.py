"""Making sure that the machine has RabbitMQ, without ever leaving a broker of the system running."""

import os
import shutil
from pathlib import Path

from local_stack.errors import StackError
from local_stack.processes import run_command
from local_stack.rabbitmq_node import SERVER_SCRIPT

_INSTALL_TIMEOUT_S = 900.0
_CHOICES = """RabbitMQ is not installed on this machine. Choose one:
  - install it:              sudo apt-get install --no-install-recommends rabbitmq-server
    (then keep its own broker from running: sudo systemctl disable --now rabbitmq-server)
  - let this command do so:  run it as root, or as a user who may use sudo without a password
  - use containers instead:  install Docker with Compose, then `make up STACK=compose`"""

# invoke-rc.d asks this program before it starts a service: 101 is "forbidden by policy".
_POLICY_PROGRAM = Path("/usr/sbin/policy-rc.d")
_INSTALL_SCRIPT = f"""
set -e
export DEBIAN_FRONTEND=noninteractive
policy={_POLICY_PROGRAM}
if [ -e "$policy" ]; then saved="$policy.local-stack"; mv "$policy" "$saved"; fi
trap 'rm -f "$policy"; if [ -n "$saved" ]; then mv "$saved" "$policy"; fi' EXIT
printf '#!/bin/sh\\nexit 101\\n' > "$policy"
chmod 755 "$policy"
apt-get update
apt-get install -y --no-install-recommends rabbitmq-server
if [ -d /run/systemd/system ]; then systemctl disable rabbitmq-server; fi
"""


def require_rabbitmq() -> None:
    """Install the system's package when it is missing and we may. Raises StackError naming the choices otherwise."""
    if is_installed():
        return
    privilege = _privilege()
    if privilege is None or shutil.which("apt-get") is None:
        raise StackError(_CHOICES)
    _install(privilege)
    if not is_installed():
        raise StackError(f"the package rabbitmq-server brought no {SERVER_SCRIPT}\n{_CHOICES}")


def is_installed() -> bool:
    """Whether everything that a private node needs is on this machine."""
    return SERVER_SCRIPT.exists() and all(shutil.which(command) for command in ("erl", "epmd", "erl_call"))


def _privilege() -> list[str] | None:
    """The words before a command that make it run as root, None when there are none."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = run_command(["sudo", "-n", "true"]).returncode == 0
    return ["sudo", "-n"] if allowed else None


def _install(privilege: list[str]) -> None:
    print("Installing the package rabbitmq-server (its own service stays off) ...", flush=True)
    done = run_command([*privilege, "/bin/sh", "-c", f"exec 2>&1\n{_INSTALL_SCRIPT}"], timeout_s=_INSTALL_TIMEOUT_S)
    if done.returncode != 0:
        raise StackError(f"the package rabbitmq-server cannot be installed:\n{done.stdout[-3000:]}\n{_CHOICES}")
