"""The states of what support works with."""

from enum import StrEnum


class State(StrEnum):
    """Where a dead letter stands."""

    OPEN = "open"
    """Somebody has to look at it."""
    REPLAYING = "replaying"
    """It was sent to its subscription again, which has not answered yet."""
    RESOLVED = "resolved"
    """The subscription has handled it."""
    DISCARDED = "discarded"
    """Somebody decided that it is not wanted any more."""


class Form(StrEnum):
    """What the bytes of a dead letter are."""

    EVENT = "event"
    """One event, whose identity is locked."""
    UNDECODABLE = "undecodable"
    """No event at all, as far as anybody can read."""


class ReplayState(StrEnum):
    """What became of one replayed event."""

    SENT = "sent"
    HANDLED = "handled"
    FAILED = "failed"


class BulkState(StrEnum):
    """Where a bulk replay stands."""

    RUNNING = "running"
    PAUSED = "paused"
    """By somebody."""
    STOPPED = "stopped"
    """By itself, because too much failed."""
    FINISHED = "finished"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """What became of one dead letter of a bulk replay."""

    WAITING = "waiting"
    SENT = "sent"
    HANDLED = "handled"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was not open any more, or still no event, when its turn came."""
