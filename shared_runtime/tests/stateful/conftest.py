"""What the stateful tests share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.servers import LocalServers

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="module")
def place(servers: LocalServers, request: pytest.FixtureRequest) -> Iterator[object]:
    """A database, and the loop that talks to it."""
    from journals import Place, time_in_hand  # noqa: PLC0415 - found only from here on
    from sites import Site  # noqa: PLC0415

    with Site.made(servers, request.module.__name__) as site, time_in_hand():
        place = Place(site.database_url)
        yield place
        place.close()
