"""The AsyncAPI document of a service. FastStream declares its subscriptions and publications, and writes it."""

import json
from collections.abc import Iterable
from typing import Any

from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.specification import AsyncAPI

from shared_contracts.message import Message
from shared_runtime import Consumer


def asyncapi_of(consumer: Consumer, published: Iterable[type[Message]], description: str) -> dict[str, Any]:
    """The document for the consumer's subscriptions and what its service publishes."""
    broker = RabbitBroker("amqp://rabbitmq:5672/")
    for subscription in consumer.subscriptions:
        queue = RabbitQueue(f"{subscription.name}.{{partition}}", durable=True, declare=False)
        subscriber = broker.subscriber(queue, _topic(subscription.topic), title=subscription.name)
        for message in subscription.messages:
            handler = consumer.registrations[message].handler
            subscriber(_declared(handler.__name__, message, handler.__doc__), filter=_is_of(message))
    for message in published:
        broker.publisher(
            exchange=_topic(message.topic),
            routing_key=f"{message.message_type}.{{partition}}",
            title=message.__name__,
            description=_first_line(message.__doc__),
            schema=message,
            persist=True,
            mandatory=True,
        )
    document = AsyncAPI(broker, title=consumer.service, version="1", description=description, schema_version="3.0.0")
    specification: dict[str, Any] = json.loads(document.to_specification().to_json())
    return specification


def _topic(topic: str) -> RabbitExchange:
    return RabbitExchange(str(topic), type=ExchangeType.TOPIC, durable=True, declare=False)


def _declared(name: str, message: type[Message], docstring: str | None) -> Any:
    """A function with the name and the message of a handler, for FastStream to describe."""

    async def handle(message: Any) -> None: ...

    handle.__name__ = f"{name}_{message.__name__}"
    handle.__doc__ = docstring
    handle.__annotations__ = {"message": message, "return": None}
    return handle


def _is_of(message: type[Message]) -> Any:
    return lambda incoming: incoming.headers.get("cloudEvents_type") == message.message_type


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
