"""The services as documents see them."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shared_contracts.catalogue import MESSAGES, MessageName
from shared_contracts.message import Message
from shared_runtime import Consumer

PACKAGES = ("ingestion", "package_service", "drone_scheduler", "delivery", "dead_letters")


@dataclass(frozen=True)
class DocumentedService:
    """One service: its application, its handlers and the messages it owns."""

    package: str
    description: str
    app: Any
    consumer: Consumer

    @property
    def published(self) -> list[type[Message]]:
        """The messages that the service's contract module declares."""
        return [message for kind, message in MESSAGES.items() if MessageName.parse(kind).publisher == self.package]


def load(package: str) -> DocumentedService:
    """Import the service. It needs an environment to be imported, but nothing that the environment names."""
    with _environment(DATABASE_URL="postgresql://documents@localhost/none", BROKER_URL="amqp://documents@localhost/"):
        app = importlib.import_module(f"{package}.app").app
    consumer = importlib.import_module(f"{package}.consumers").consumer
    docstring = importlib.import_module(f"{package}.consumers").__doc__ or ""
    return DocumentedService(package, docstring.strip(), app, consumer)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
