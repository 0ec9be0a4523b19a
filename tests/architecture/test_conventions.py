"""Conventions that no linter knows, each with the reason that made it one."""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

from documentation.services import PACKAGES, load
from shared_contracts.catalogue import MESSAGES
from shared_contracts.topology import PARTITIONS
from shared_runtime import testing

CHECKOUT = Path(__file__).resolve().parents[2]
MAX_HANDLER_LINES = 24


@pytest.mark.parametrize("package", PACKAGES)
def test_publishers_and_consumers_agree_on_the_number_of_partitions(package: str) -> None:
    # A publisher that counts otherwise would send sessions to queues that do not exist.
    assert load(package).consumer.partitions == PARTITIONS == testing.PARTITIONS


@pytest.mark.parametrize("package", PACKAGES)
def test_every_subscription_has_its_handlers(package: str) -> None:
    load(package).consumer.check()


@pytest.mark.parametrize("package", PACKAGES)
def test_handlers_are_short_and_say_what_they_do(package: str) -> None:
    # The handler is the page that people read: it loads, decides and records, and the rule lives in the domain.
    for registration in load(package).consumer.registrations.values():
        source = inspect.getsource(registration.handler)
        assert len(source.splitlines()) <= MAX_HANDLER_LINES, registration.handler.__name__
        assert inspect.getdoc(registration.handler), registration.handler.__name__


@pytest.mark.parametrize("package", PACKAGES)
def test_handlers_do_not_commit_publish_or_acknowledge_themselves(package: str) -> None:
    source = inspect.getsource(importlib.import_module(f"{package}.consumers"))
    forbidden = re.findall(r"\b(commit|rollback|ack|nack|basic_publish|sleep)\(", source)
    assert forbidden == []


def test_a_message_is_published_only_by_the_service_that_owns_it() -> None:
    documents = {package: _asyncapi(package) for package in PACKAGES}
    for kind in MESSAGES:
        owner = kind.split(".")[1]
        senders = [package for package, document in documents.items() if kind in _sent(document)]
        assert senders == ([owner] if owner in PACKAGES else []), kind


def test_asyncapi_receives_what_the_topology_says() -> None:
    for package in PACKAGES:
        described = json.dumps(_asyncapi(package))
        for subscription in load(package).consumer.subscriptions:
            for message in subscription.messages:
                assert message.__name__ in described, (package, message.__name__)


def _asyncapi(package: str) -> dict:
    return json.loads((CHECKOUT / "docs" / "generated" / "asyncapi" / f"{package}.json").read_text())


def _sent(document: dict) -> set[str]:
    channels = [
        document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        for operation in document["operations"].values()
        if operation["action"] == "send"
    ]
    return {channel["address"].removesuffix(".{partition}") for channel in channels}
