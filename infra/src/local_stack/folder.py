"""The data folder: everything a stack writes is below it."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.errors import StackError

_LONGEST_BYTES = 900
"""PostgreSQL has 1,024 for a path (MAXPGPATH), and its data lies deeper."""


class StackFolder:
    """Paths and passwords of one stack."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.records = self.root / "run"
        self.postgres = self.root / "postgres"
        self.rabbitmq = self.root / "rabbitmq"
        self.owner = self.root / "owner.json"
        self.restarts = self.root / "restarts.json"
        self.secrets = self.root / "secrets.json"

    def create(self) -> None:
        """Make the folders, for the owner's eyes only. Raises StackError for a name that no server could work with."""
        _require_usable(self.root)
        for folder in (self.root, self.logs, self.records):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def start_logs(self) -> None:
        """Put the logs of the run before aside, so that what is logged is about this one."""
        previous = self.root / "logs.previous"
        shutil.rmtree(previous, ignore_errors=True)
        self.logs.rename(previous)
        self.create()

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def password(self, name: str) -> str:
        """The password called `name`, made up on first use and kept for as long as the folder is."""
        self.create()
        with self.lock("secrets"):
            passwords = self._read_passwords()
            if name not in passwords:
                passwords[name] = secrets.token_urlsafe(24)
                write_private(self.secrets, json.dumps(passwords, indent=2))
        return passwords[name]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other threads and processes that use this folder out."""
        with (self.records / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read_passwords(self) -> dict[str, str]:
        if not self.secrets.exists():
            return {}
        passwords: dict[str, str] = json.loads(self.secrets.read_text())
        return passwords


@contextmanager
def alone_in(folder: Path, who: str) -> Iterator[None]:
    """Keep others who ask for the same out of the folder. The lock lies beside it: the folder itself may be removed.

    `who` is for the message. Raises StackError when somebody is in the folder.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"{who} runs in {folder} already") from None
        yield


def _require_usable(root: Path) -> None:
    name = os.fsencode(root)
    if len(name) > _LONGEST_BYTES:
        raise StackError(
            f"the path of the data folder has {len(name)} bytes, of {_LONGEST_BYTES} at most; "
            "choose another with STACK_DATA=..."
        )
    try:
        is_text = not {"\n", "\r"} & set(name.decode())
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        raise StackError(
            f"the data folder {str(root)!r} has a name with line breaks or that is not UTF-8; "
            "choose another with STACK_DATA=..."
        )


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_suffix(f".{secrets.token_hex(4)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    draft.replace(path)
