"""Outbox, inbox, ordered sessions, retries, dead letters and deadlines for event-driven services.

A service names its handlers in a `Consumer` and its state classes in `RowStore`s; `create_app` makes it run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared_runtime.consumer import Consumer, Tick, loaded_by
    from shared_runtime.errors import DeadLetterReason, NotLoaded, PermanentError, TransientError
    from shared_runtime.http import create_app
    from shared_runtime.problems import Problem
    from shared_runtime.settings import ServiceSettings
    from shared_runtime.store import RowStore
    from shared_runtime.unit_of_work import UnitOfWork

__all__ = [
    "Consumer",
    "DeadLetterReason",
    "NotLoaded",
    "PermanentError",
    "Problem",
    "RowStore",
    "ServiceSettings",
    "Tick",
    "TransientError",
    "UnitOfWork",
    "create_app",
    "loaded_by",
]

_MODULES = {
    "consumer": {"Consumer", "Tick", "loaded_by"},
    "errors": {"DeadLetterReason", "NotLoaded", "PermanentError", "TransientError"},
    "http": {"create_app"},
    "problems": {"Problem"},
    "settings": {"ServiceSettings"},
    "store": {"RowStore"},
    "unit_of_work": {"UnitOfWork"},
}

# Hidden from type checkers, which would take any name for one of the package's.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Imported when first used: a container migrates before it serves, and that needs neither FastAPI nor aio-pika.
        for module, names in _MODULES.items():
            if name in names:
                return globals().setdefault(name, getattr(import_module(f"{__name__}.{module}"), name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
