"""RabbitMQ definitions (exchanges, queues, bindings, users, permissions), generated from `shared_contracts.topology`.

Run as a module to write the committed `infra/rabbitmq/definitions.json`.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared_contracts.message import Topic
from shared_contracts.topology import PUBLISHERS, SUBSCRIPTIONS, Subscription
from shared_runtime.consumer import Subscription as AnySubscription
from shared_runtime.replays import EXCHANGE as REPLAY_EXCHANGE
from shared_runtime.replays import OUTCOMES, OUTCOMES_EXCHANGE
from shared_runtime.replays import SERVICE as DEAD_LETTERS_USER

DEAD_LETTER_EXCHANGE = "dead-letters"
ADMIN_USER = "admin"
FLEET_USER = "fleet"
DELIVERY_LIMIT = 100
"""Redeliveries before the broker itself dead-letters a message: a safety net far above the runtime's own attempts."""
NO_DELIVERY_LIMIT = 1_000_000_000
"""For dead letters, which may be looked at and put back for ever: RabbitMQ 4 would drop them after 20 times, and before
RabbitMQ 4 there is no value for "never"."""

Definition = dict[str, Any]

_READERS_OF_OTHERS = {FLEET_USER: ("notifications",)}
"""Users that also read the queues of services outside the suite."""


def broker_definitions(
    password_hashes: Mapping[str, str] | None = None,
    *,
    subscriptions: Sequence[Subscription] = SUBSCRIPTIONS,
    publishers: Mapping[str, Sequence[Topic]] = PUBLISHERS,
    vhost: str = "/",
) -> Definition:
    """Everything the broker needs before the first service connects.

    `password_hashes` maps users to what `hash_password` returned; a user without one cannot log in by password.
    """
    users = broker_users(subscriptions, publishers)
    hashes = password_hashes or {}
    return {
        "users": [_user(name, hashes.get(name, "")) for name in (*users, ADMIN_USER)],
        "vhosts": [{"name": vhost}],
        "permissions": [
            *(_permission(name, vhost, subscriptions, publishers.get(name, ())) for name in users),
            {"user": ADMIN_USER, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"},
        ],
        **topology_definitions(subscriptions, vhost=vhost),
    }


def topology_definitions(subscriptions: Sequence[Subscription], *, vhost: str = "/") -> Definition:
    """Exchanges, queues and bindings only."""
    everything: tuple[AnySubscription, ...] = (*subscriptions, OUTCOMES)
    return {
        "exchanges": [
            *(_exchange(topic, "topic", vhost) for topic in (*Topic, OUTCOMES_EXCHANGE)),
            *(_exchange(name, "direct", vhost) for name in (DEAD_LETTER_EXCHANGE, REPLAY_EXCHANGE)),
        ],
        "queues": [queue for subscription in everything for queue in _queues(subscription, vhost)],
        "bindings": [binding for subscription in everything for binding in _bindings(subscription, vhost)],
    }


def broker_users(
    subscriptions: Sequence[Subscription] = SUBSCRIPTIONS, publishers: Mapping[str, Sequence[Topic]] = PUBLISHERS
) -> tuple[str, ...]:
    """The users of the suite's own services and of the fleet, without the administrator."""
    outside = {service for services in _READERS_OF_OTHERS.values() for service in services}
    subscribers = (subscription.service for subscription in subscriptions)
    return tuple(sorted({*publishers, *subscribers, DEAD_LETTERS_USER} - outside))


def hash_password(password: str, salt: bytes | None = None) -> str:
    """RabbitMQ's salted SHA-256 (https://www.rabbitmq.com/docs/passwords#computing-password-hash)."""
    salt = salt or secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _user(name: str, password_hash: str) -> Definition:
    return {
        "name": name,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": "administrator" if name == ADMIN_USER else "",
    }


def _permission(user: str, vhost: str, subscriptions: Sequence[Subscription], topics: Sequence[Topic]) -> Definition:
    read_services = (user, *_READERS_OF_OTHERS.get(user, ()))
    own = [subscription for subscription in subscriptions if subscription.service in read_services]
    queues = [name for subscription in own for name in (*subscription.queues, subscription.dead_letter_queue)]
    exchanges: list[str] = list(topics)
    if user != FLEET_USER:
        exchanges += [DEAD_LETTER_EXCHANGE, OUTCOMES_EXCHANGE]
    if user == DEAD_LETTERS_USER:
        queues += [OUTCOMES.queue(0), OUTCOMES.dead_letter_queue, *(one.dead_letter_queue for one in subscriptions)]
        exchanges.append(REPLAY_EXCHANGE)
    return {
        "user": user,
        "vhost": vhost,
        "configure": _exactly(()),
        "write": _exactly(exchanges),
        "read": _exactly(queues),
    }


def _exactly(names: Iterable[str]) -> str:
    """A regular expression for these names and no other; the broker takes the empty one as: nothing at all."""
    alternatives = "|".join(re.escape(name).replace(r"\-", "-") for name in names)
    return f"^({alternatives})$" if alternatives else ""


def _exchange(name: str, kind: str, vhost: str) -> Definition:
    return {
        "name": name,
        "vhost": vhost,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _queues(subscription: AnySubscription, vhost: str) -> Iterable[Definition]:
    # At-least-once dead-lettering is only in force together with reject-publish; without it the broker drops silently.
    partition_arguments = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-dead-letter-exchange": DEAD_LETTER_EXCHANGE,
        "x-dead-letter-routing-key": subscription.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": DELIVERY_LIMIT,
    }
    for name in _partition_queues(subscription):
        yield _queue(name, vhost, partition_arguments)
    dead_letter_arguments = {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": NO_DELIVERY_LIMIT,
    }
    yield _queue(subscription.dead_letter_queue, vhost, dead_letter_arguments)


def _partition_queues(subscription: AnySubscription) -> list[str]:
    return [subscription.queue(partition) for partition in range(subscription.partitions)]


def _queue(name: str, vhost: str, arguments: Definition) -> Definition:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(arguments)}


def _bindings(subscription: AnySubscription, vhost: str) -> Iterable[Definition]:
    for partition, queue in enumerate(_partition_queues(subscription)):
        suffix = "*" if subscription.partitions == 1 else str(partition)
        for message in subscription.messages:
            yield _binding(subscription.topic, queue, f"{message.message_type}.{suffix}", vhost)
        yield _binding(REPLAY_EXCHANGE, queue, queue, vhost)
    yield _binding(DEAD_LETTER_EXCHANGE, subscription.dead_letter_queue, subscription.name, vhost)


def _binding(exchange: str, queue: str, routing_key: str, vhost: str) -> Definition:
    return {
        "source": exchange,
        "vhost": vhost,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": routing_key,
        "arguments": {},
    }


def committed_path() -> Path:
    """Where the checkout keeps the generated definitions."""
    return Path(__file__).parents[2] / "rabbitmq" / "definitions.json"


def rendered() -> str:
    """The content of the committed file: without passwords."""
    return json.dumps(broker_definitions(), indent=2) + "\n"


if __name__ == "__main__":
    committed_path().write_text(rendered())
