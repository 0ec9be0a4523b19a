"""Brings the services' databases up to date."""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial

from local_stack.errors import StackError
from local_stack.processes import spawn
from local_stack.servers import LocalServers
from local_stack.services import ServiceProcess

_TIMEOUT_S = 120.0


def migrate_services(servers: LocalServers, services: Sequence[ServiceProcess]) -> None:
    """Bring the databases of these services up to date. Raises StackError with the log when that fails."""
    # Services that share a database must not migrate it at the same time.
    by_database = {service.service.database: service for service in services}.values()
    migrations = [
        partial(_run, servers, f"{service.name}.migration", service.service.migrate, service.environment)
        for service in by_database
        if service.service.migrate
    ]
    packages = [service.service.database for service in by_database if service.service.migrate is None]
    if packages:
        urls = json.dumps({package: servers.database_url(package) for package in packages})
        command = (sys.executable, "-m", "local_stack.package_migrations")
        migrations.append(partial(_run, servers, "migrations", command, {**os.environ, "DATABASE_URLS": urls}))
    servers.together(*migrations)


def _run(servers: LocalServers, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
    migration = spawn(servers.folder, name, command, environment=environment)
    try:
        status = migration.wait(_TIMEOUT_S)
    finally:
        migration.kill()
    if status != 0:
        raise StackError(f"{name} failed (exit status {status}); the end of {migration.log}:\n{migration.log_tail}")
