"""What a service and whoever looks after its dead letters say to each other.

A replay is the dead letter's event, with the id that it had and a higher attempt epoch, sent to the queue that it came
from. The service answers when the event is handled; when it fails again, a new dead letter says so.
"""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

EXCHANGE = "replays"
"""A direct exchange: the routing key is the name of the queue."""
OUTCOMES_EXCHANGE = "replay-outcomes"
SERVICE = "dead-letters"
"""The service that looks after the dead letters of all others."""


class DeadLetterDiscarded(BaseModel):
    """Nobody will replay the message: its session goes on without it."""

    model_config = ConfigDict(frozen=True)

    message_type: ClassVar[str] = "runtime.dead_letter_discarded.v1"
    topic: ClassVar[str] = EXCHANGE

    session_id: str
    message_id: UUID


class ReplayHandled(BaseModel):
    """A replayed message was handled, and what it led to is committed."""

    model_config = ConfigDict(frozen=True)

    message_type: ClassVar[str] = "runtime.replay_handled.v1"
    topic: ClassVar[str] = OUTCOMES_EXCHANGE

    subscription: str
    session_id: str
    message_id: UUID
    attempt_epoch: int


@dataclass(frozen=True)
class OutcomesSubscription:
    """The queue in which the answers of all services arrive."""

    service: str = SERVICE
    topic: str = OUTCOMES_EXCHANGE
    messages: tuple[type[ReplayHandled]] = (ReplayHandled,)
    partitions: int = 1
    is_ordered: bool = False

    @property
    def name(self) -> str:
        return f"{self.service}.{self.topic}"

    def queue(self, partition: int) -> str:
        return f"{self.name}.{partition}"

    @property
    def dead_letter_queue(self) -> str:
        return f"{self.name}.dead-letters"


OUTCOMES = OutcomesSubscription()
