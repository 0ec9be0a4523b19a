"""The flow of the messages as a page for people: a diagram and the queues, made from the topology."""

from collections.abc import Iterable, Iterator

from shared_contracts.catalogue import MESSAGES, publishers_of
from shared_contracts.generation.messages_page import NOTICE
from shared_contracts.message import Message
from shared_contracts.topology import PUBLISHERS, SUBSCRIPTIONS


def flow_page() -> str:
    """The page as Markdown, with a Mermaid diagram."""
    lines = [
        "# Flow",
        "",
        NOTICE,
        "",
        "Services are boxes, topics are the rounded shapes between them. [What the messages carry](messages.md).",
        "",
        "```mermaid",
        "flowchart LR",
        *_diagram(),
        "```",
        "",
        "## Queues",
        "",
        "Every partition of a subscription is a queue of its own; a session always takes the same one.",
        "",
        "| subscription | queues | dead letters | messages |",
        "| --- | --- | --- | --- |",
        *_queue_rows(),
        "",
    ]
    return "\n".join(lines)


def _diagram() -> Iterator[str]:
    services = dict.fromkeys([*PUBLISHERS, *(subscription.service for subscription in SUBSCRIPTIONS)])
    topics = dict.fromkeys(topic for topics in PUBLISHERS.values() for topic in topics)
    for service in services:
        yield f'    {_service(service)}["{service}"]'
    for topic in topics:
        yield f'    {_topic(topic)}(["{topic}"])'
    for publisher, written in PUBLISHERS.items():
        for topic in written:
            published = [
                message
                for message in MESSAGES.values()
                if message.topic == topic and publisher in publishers_of(message)
            ]
            yield _arrow(_service(publisher), published, _topic(topic))
    for subscription in SUBSCRIPTIONS:
        yield _arrow(_topic(subscription.topic), subscription.messages, _service(subscription.service))


def _arrow(source: str, messages: Iterable[type[Message]], target: str) -> str:
    return f'    {source} -- "{"<br/>".join(message.__name__ for message in messages)}" --> {target}'


def _service(name: str) -> str:
    # Prefixed, because a topic and a service may have the same name.
    return f"service_{name.replace('-', '_')}"


def _topic(name: str) -> str:
    return f"topic_{name.replace('-', '_')}"


def _queue_rows() -> Iterator[str]:
    for subscription in SUBSCRIPTIONS:
        queues = list(subscription.queues)
        names = f"`{queues[0]}`" if len(queues) == 1 else f"`{queues[0]}` to `{queues[-1]}`"
        messages = ", ".join(message.__name__ for message in subscription.messages)
        yield f"| `{subscription.name}` | {names} | `{subscription.dead_letter_queue}` | {messages} |"
