"""What the broker is told before the first service connects."""

import base64
import hashlib
import re
from typing import Any

from local_stack.broker_definitions import (
    ADMIN_USER,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTERS_USER,
    REPLAY_EXCHANGE,
    broker_definitions,
    broker_users,
    committed_path,
    hash_password,
    rendered,
)
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Topic
from shared_contracts.topology import PUBLISHERS, SUBSCRIPTIONS, Subscription
from shared_runtime.replays import OUTCOMES

DEFINITIONS = broker_definitions()


def permission_of(user: str, definitions: dict[str, Any] = DEFINITIONS) -> dict[str, str]:
    found: dict[str, str] = next(each for each in definitions["permissions"] if each["user"] == user)
    return found


def bindings_of(queue: str) -> set[tuple[str, str]]:
    return {(each["source"], each["routing_key"]) for each in DEFINITIONS["bindings"] if each["destination"] == queue}


def test_committed_file_is_what_the_topology_generates() -> None:
    assert committed_path().read_text() == rendered(), "run `python -m local_stack.broker_definitions` and commit"


def test_committed_file_holds_no_password() -> None:
    assert all(user["password_hash"] == "" for user in DEFINITIONS["users"])


def test_every_topic_is_a_durable_topic_exchange() -> None:
    exchanges = {each["name"]: each for each in DEFINITIONS["exchanges"]}
    assert set(exchanges) == {*Topic, DEAD_LETTER_EXCHANGE, REPLAY_EXCHANGE, OUTCOMES.topic}
    assert all(exchanges[topic]["type"] == "topic" and exchanges[topic]["durable"] for topic in Topic)
    assert {exchanges[name]["type"] for name in (DEAD_LETTER_EXCHANGE, REPLAY_EXCHANGE)} == {"direct"}


def test_partition_queues_lose_nothing_and_keep_order() -> None:
    queues = {each["name"]: each for each in DEFINITIONS["queues"]}
    for subscription in SUBSCRIPTIONS:
        for name in subscription.queues:
            assert queues[name]["durable"]
            assert queues[name]["arguments"] == {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,
                "x-dead-letter-exchange": "dead-letters",
                "x-dead-letter-routing-key": subscription.name,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
                "x-delivery-limit": 100,
            }


def test_every_queue_is_bound_to_its_own_messages_and_partition() -> None:
    for subscription in SUBSCRIPTIONS:
        for partition, queue in enumerate(subscription.queues):
            suffix = "*" if subscription.partitions == 1 else str(partition)
            assert bindings_of(queue) == {
                (REPLAY_EXCHANGE, queue),
                *((subscription.topic, f"{message.message_type}.{suffix}") for message in subscription.messages),
            }


def test_every_subscription_has_a_dead_letter_queue_of_its_own() -> None:
    for subscription in SUBSCRIPTIONS:
        assert bindings_of(subscription.dead_letter_queue) == {(DEAD_LETTER_EXCHANGE, subscription.name)}


def test_nothing_else_is_declared() -> None:
    expected = {name for each in SUBSCRIPTIONS for name in (*each.queues, each.dead_letter_queue)}
    assert {each["name"] for each in DEFINITIONS["queues"]} == {
        *expected,
        OUTCOMES.queue(0),
        OUTCOMES.dead_letter_queue,
    }
    assert {user["name"] for user in DEFINITIONS["users"]} == {*PUBLISHERS, DEAD_LETTERS_USER, ADMIN_USER}


def test_services_may_configure_nothing() -> None:
    assert {permission_of(user)["configure"] for user in broker_users()} == {""}


def test_services_write_to_their_own_exchanges_only() -> None:
    for user in broker_users():
        own = {*PUBLISHERS.get(user, ())}
        if user != "fleet":
            own |= {DEAD_LETTER_EXCHANGE, OUTCOMES.topic}
        if user == DEAD_LETTERS_USER:
            own |= {REPLAY_EXCHANGE}
        pattern = permission_of(user)["write"]
        every = {*Topic, DEAD_LETTER_EXCHANGE, REPLAY_EXCHANGE, OUTCOMES.topic, "amq.default", "delivery-events-copy"}
        assert {name for name in every if re.search(pattern, name)} == own


def test_services_read_their_own_queues_only() -> None:
    every = [each["name"] for each in DEFINITIONS["queues"]]
    for user in broker_users():
        services = {user, "notifications"} if user == "fleet" else {user}
        own = {name for name in every if name.split(".")[0] in services}
        if user == DEAD_LETTERS_USER:
            own |= {name for name in every if name.endswith(".dead-letters")}
        pattern = permission_of(user)["read"]
        assert {name for name in every if re.search(pattern, name)} == own
        assert not any(re.search(pattern, name + "0") for name in every)


def test_user_without_queues_reads_nothing() -> None:
    assert permission_of("fleet", broker_definitions(subscriptions=()))["read"] == ""


def test_extra_service_leaves_the_permissions_of_others_alone() -> None:
    billing = Subscription("billing", Topic.DELIVERY_REQUESTS, (DeliveryRequested,), partitions=1)
    definitions = broker_definitions(subscriptions=[billing], publishers={})
    assert {each["user"] for each in definitions["permissions"]} == {
        "billing",
        DEAD_LETTERS_USER,
        ADMIN_USER,
    }
    assert permission_of("billing", definitions)["read"] == (
        r"^(billing\.delivery-requests\.0|billing\.delivery-requests\.dead-letters)$"
    )


def test_password_hash_is_salt_and_digest() -> None:
    hashed = base64.b64decode(hash_password("secret", salt=b"salt"))
    assert hashed == b"salt" + hashlib.sha256(b"saltsecret").digest()
    assert hash_password("secret") != hash_password("secret")
