"""Installing packages of the system (Debian and its relatives), without starting the services that they bring."""

import os
import shutil
from collections.abc import Sequence

from local_stack.errors import StackError
from local_stack.processes import run_command

_TIMEOUT_S = 900.0
# Packages ask /usr/sbin/policy-rc.d before they start their service: 101 is "forbidden". A policy that the machine has
# is put back, also when this script was cut short the time before.
_SCRIPT = """
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
apt-get update
apt-get install -y --no-install-recommends "$@"
"""


def can_install() -> bool:
    """Whether the machine has such packages, and we may install them."""
    return shutil.which("apt-get") is not None and _privilege() is not None


def install(packages: Sequence[str], *, afterwards: str = "") -> None:
    """Install the packages; then run the lines `afterwards` as root, before any service is allowed to start.

    Raises StackError with what was said when that fails, or when it is not allowed.
    """
    privilege = _privilege()
    if privilege is None:
        raise StackError(f"only root may install {', '.join(packages)}")
    print(f"Installing {', '.join(packages)} (services stay off) ...", flush=True)
    done = run_command([*privilege, "/bin/sh", "-c", _SCRIPT + afterwards, "install", *packages], timeout_s=_TIMEOUT_S)
    if done.returncode != 0:
        raise StackError(f"{', '.join(packages)} cannot be installed:\n{done.stdout[-3000:]}")


def _privilege() -> list[str] | None:
    """The words before a command that make it run as root, None when there are none."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = run_command(["sudo", "-n", "true"]).returncode == 0
    return ["sudo", "-n"] if allowed else None
