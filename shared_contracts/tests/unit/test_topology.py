"""No message is published where nobody listens, and nobody writes where it may not.

Each rule is a function of the topology, so that it can also be shown a broken one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from shared_contracts.catalogue import MESSAGES, MessageName
from shared_contracts.delivery import v1 as delivery
from shared_contracts.message import Message, Topic
from shared_contracts.topology import PUBLISHED_FOR_OTHERS, PUBLISHERS, SUBSCRIPTIONS, Subscription, subscriptions_of

Messages = Iterable[type[Message]]


def unheard(messages: Messages, subscriptions: Iterable[Subscription]) -> set[str]:
    """Messages that the broker would return as unroutable."""
    heard = {
        message
        for subscription in subscriptions
        for message in subscription.messages
        if message.topic == subscription.topic
    }
    return {message.__name__ for message in messages if message not in heard}


def misplaced(subscriptions: Iterable[Subscription]) -> set[str]:
    """Subscriptions to a message on another topic than the message travels on: the queue would stay empty."""
    return {
        f"{subscription.name}: {message.__name__}"
        for subscription in subscriptions
        for message in subscription.messages
        if message.topic != subscription.topic
    }


def forbidden(messages: Messages, publishers: Mapping[str, tuple[Topic, ...]]) -> set[str]:
    """Messages whose owner may not write to their topic."""
    return {
        message.__name__
        for message in messages
        if message.topic not in publishers.get(MessageName.parse(message.message_type).service, ())
    }


def repeated(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def queues_of(subscriptions: Iterable[Subscription]) -> list[str]:
    return [name for subscription in subscriptions for name in (*subscription.queues, subscription.dead_letter_queue)]


def test_every_message_has_a_subscriber() -> None:
    assert unheard(MESSAGES.values(), SUBSCRIPTIONS) == set()


def test_a_message_without_subscriber_would_be_noticed() -> None:
    without_notifications = [subscription for subscription in SUBSCRIPTIONS if subscription.service != "notifications"]

    assert unheard(MESSAGES.values(), without_notifications) == {"NotificationRequested"}


def test_every_subscription_listens_where_its_messages_travel() -> None:
    assert misplaced(SUBSCRIPTIONS) == set()


def test_a_subscription_on_the_wrong_topic_would_be_noticed() -> None:
    wrong = Subscription("billing", Topic.DELIVERY, (delivery.DeliveryCompleted,))

    assert misplaced([*SUBSCRIPTIONS, wrong]) == {"billing.delivery: DeliveryCompleted"}
    assert unheard([delivery.DeliveryCompleted], [wrong]) == {"DeliveryCompleted"}


def test_every_owner_may_write_to_the_topics_of_its_messages() -> None:
    assert forbidden(MESSAGES.values(), PUBLISHERS) == set()


def test_an_owner_that_may_not_write_would_be_noticed() -> None:
    assert forbidden(MESSAGES.values(), {**PUBLISHERS, "fleet": ()}) == {"DroneTelemetryReported"}


def test_who_passes_messages_on_may_write_to_their_topic() -> None:
    assert {
        (service, message.__name__)
        for service, messages in PUBLISHED_FOR_OTHERS.items()
        for message in messages
        if message.topic not in PUBLISHERS[service]
    } == set()


def test_every_permission_to_write_is_used() -> None:
    used = {(MessageName.parse(message.message_type).service, message.topic) for message in MESSAGES.values()}
    used |= {(service, message.topic) for service, messages in PUBLISHED_FOR_OTHERS.items() for message in messages}

    assert {(service, topic) for service, topics in PUBLISHERS.items() for topic in topics} == used


def test_queue_names_are_unique() -> None:
    assert repeated(queues_of(SUBSCRIPTIONS)) == set()


def test_a_repeated_queue_would_be_noticed() -> None:
    twice = [*SUBSCRIPTIONS, replace(SUBSCRIPTIONS[0], partitions=1)]

    assert repeated(queues_of(twice)) == {
        "package-service.delivery-requests.0",
        "package-service.delivery-requests.dead-letters",
    }


def test_no_subscription_names_a_message_twice() -> None:
    # The broker would bind once; the second mention is a mistake of whoever meant another message.
    assert [subscription.name for subscription in SUBSCRIPTIONS if repeated(map(repr, subscription.messages))] == []


def test_every_subscription_is_found_under_its_service() -> None:
    services = {subscription.service for subscription in SUBSCRIPTIONS}

    assert {one for service in services for one in subscriptions_of(service)} == set(SUBSCRIPTIONS)
    assert subscriptions_of("nobody") == ()


def test_every_subscription_has_a_queue_per_partition() -> None:
    for subscription in SUBSCRIPTIONS:
        assert len(list(subscription.queues)) == subscription.partitions >= 1
