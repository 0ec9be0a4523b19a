"""The suite in containers, for all checks together, and removed at the end whatever happens."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Pytest imports test modules by path, so that they do not find each other otherwise.
sys.path.insert(0, str(Path(__file__).parent))

from compose_stack import ComposeStack, engine_answers


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[ComposeStack]:
    """The whole suite, built from this checkout and healthy."""
    if not engine_answers():
        # Not a skip, of which pytest reports one per check.
        pytest.exit("No Docker engine with Compose answers here, so the containers are not checked.", returncode=0)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(what: str) -> None:
        # This takes minutes, and whoever waits wants to know.
        with capture.global_and_fixture_disabled():
            print(what, flush=True)

    # An orderly end for `kill` too, as for Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = ComposeStack(f"drone-delivery-check-{os.getpid()}")
    try:
        with _timed("building the images", tell):
            stack.build()
        with _timed("starting the containers", tell):
            stack.up()
        yield stack
    finally:
        for trouble in stack.troubles():
            tell(trouble)
        with _timed("removing everything", tell):
            stack.remove()


@contextmanager
def _timed(what: str, tell: Callable[[str], None]) -> Iterator[None]:
    begin = time.monotonic()
    yield
    tell(f"\n{what} took {time.monotonic() - begin:.0f} s")
