"""Nothing is left on the way: no message waits anywhere, none was set aside."""

from collections.abc import Iterable, Mapping

from demo.evidence import Evidence


def outboxes_are_empty(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every message that a service recorded has been confirmed by the broker."""
    return len(evidence.outbox), _left(evidence.outbox)


def no_message_is_held(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """No message waits in a service for another attempt or behind one that does."""
    return len(evidence.held), _left(evidence.held)


def queues_are_empty(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every queue is there and has been read to its end."""
    return len(evidence.queues), _left(evidence.queues)


def nothing_was_set_aside(evidence: Evidence) -> tuple[int, Iterable[str]]:
    """Every dead-letter queue is there and has stayed empty."""
    return len(evidence.dead_letters), _left(evidence.dead_letters)


def _left(counts: Mapping[str, int | None]) -> Iterable[str]:
    for name, count in counts.items():
        if count is None:
            yield f"{name} is missing"
        elif count:
            yield f"{name} has {count}"
