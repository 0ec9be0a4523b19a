"""Processes of the dead letters for tests."""

from typing import Any

from dead_letters import intake
from dead_letters.api import browsing, records, repairing, streams
from dead_letters.consumers import consumer
from dead_letters.settings import Settings
from shared_runtime import create_app

ROUTERS = [streams.router, browsing.router, repairing.router, records.router]
SUPPORT = {"X-Subject": "sam", "X-Roles": "support"}


def make_app(places: Any, **settings: Any) -> Any:
    """One process of the service, on a module's database and virtual host."""
    given = {"support_urls": {}, "support_timeout_s": 1} | settings
    chosen = Settings(database_url=places.database_url, broker_url=places.broker_url, **given)
    loops = {intake.NAME: intake.run}
    return create_app(consumer, chosen, routers=ROUTERS, title="Dead letters", loops=loops)
