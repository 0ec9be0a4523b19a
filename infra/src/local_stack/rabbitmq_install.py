"""Making sure that the machine has RabbitMQ, without ever leaving a broker of the system running."""

import os
import shutil

from local_stack.errors import StackError
from local_stack.processes import run_command
from local_stack.rabbitmq_node import SERVER_SCRIPT

_INSTALL_TIMEOUT_S = 900.0
_CHOICES = """RabbitMQ is not installed on this machine. Choose one:
  - install it:              sudo apt-get install --no-install-recommends rabbitmq-server
    (then keep its own broker from running: sudo systemctl disable --now rabbitmq-server)
  - let this command do so:  run it as root, or as a user who may use sudo without a password
  - use containers instead:  install Docker with Compose, then `make up STACK=compose`"""

# Packages ask /usr/sbin/policy-rc.d before they start their service: 101 is "forbidden". A policy that the machine has
# is put back, also when this script was cut short the time before.
_INSTALL_SCRIPT = """
set -e
exec 2>&1
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
kept=$policy.kept
if [ -e $policy ] && [ ! -e $kept ]; then mv $policy $kept; fi
trap 'rm -f $policy; if [ -e $kept ]; then mv $kept $policy; fi' EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\\nexit 101\\n' > $policy
chmod 755 $policy
had_epmd=$(command -v epmd || true)
apt-get update
apt-get install -y --no-install-recommends rabbitmq-server
update-rc.d rabbitmq-server disable
if [ -z "$had_epmd" ] && command -v systemctl; then systemctl disable epmd.service epmd.socket || true; fi
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
    done = run_command([*privilege, "/bin/sh", "-c", _INSTALL_SCRIPT], timeout_s=_INSTALL_TIMEOUT_S)
    if done.returncode != 0:
        raise StackError(f"the package rabbitmq-server cannot be installed:\n{done.stdout[-3000:]}\n{_CHOICES}")
