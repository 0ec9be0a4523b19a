"""Outbox, inbox, ordered sessions, retries, dead letters and deadlines for event-driven services.

A service names its handlers in a `Consumer` and its state classes in `RowStore`s; `create_app` makes it run.
"""

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
