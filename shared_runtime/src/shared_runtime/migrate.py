"""Bring a service's database up to date: `python -m shared_runtime.migrate package_service`."""

import importlib.resources
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic import command
from alembic.config import Config

from shared_runtime.settings import DatabaseSettings


def config_for(package: str, database_url: str) -> Config:
    """Alembic's configuration for the migrations inside `package`."""
    config = Config()
    folder = Path(str(importlib.resources.files(package))) / "migrations"
    config.set_main_option("script_location", _literal(Path(__file__).parent / "alembic"))
    config.set_main_option("version_locations", _literal(folder / "versions"))
    config.set_main_option("path_separator", "os")
    config.attributes["database_url"] = database_url
    return config


def _literal(path: Path) -> str:
    # A value of Alembic's configuration may refer to others.
    return str(path).replace("%", "%%")


def migrate(package: str, database_url: str) -> None:
    """Apply all migrations of `package` that the database does not have yet. Several at once wait for each other."""
    # In a thread of its own, because the migrations run an event loop and the caller may have one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(command.upgrade, config_for(package, database_url), "head").result()


def main() -> None:
    """Migrate the service's own database."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m shared_runtime.migrate PACKAGE")
    migrate(sys.argv[1], DatabaseSettings().database_url)


if __name__ == "__main__":
    main()
