"""What waits to be published, in memory: bounded, and never out of the order of a session."""

from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import count
from typing import NamedTuple, assert_never
from uuid import UUID

from shared_runtime.outbox import Outgoing

Route = tuple[str, str]


class Fate(Enum):
    """What became of a message that was handed to the broker."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """The broker is there, and did not take it: nothing is bound, a queue is full, the exchange is missing."""
    UNKNOWN = "unknown"
    """The connection broke before there was an answer."""


class Outcome(NamedTuple):
    """A fate, and why."""

    fate: Fate
    reason: str = ""


class Backlog:
    """Messages in the order of their creation.

    A message that the broker refuses is parked, and so is what follows: its route is closed, and messages of its
    sessions to the same exchange wait behind it, until `reopen` puts all of them back.
    """

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._under_way: list[Outgoing] = []
        self._waiting: deque[Outgoing] = deque()
        self._parked: list[Outgoing] = []
        self._positions = count()
        self._position_of: dict[UUID, int] = {}
        self._bytes = 0
        self._closed_routes: set[Route] = set()
        self._stopped_sessions: set[tuple[str, str]] = set()
        self.refused: dict[Route, str] = {}
        """Routes on which the broker has refused a message and not taken one since, and what it said."""

    @property
    def ids(self) -> Iterable[UUID]:
        """All messages in memory, parked ones included."""
        return self._position_of.keys()

    @property
    def room(self) -> int:
        """How many more messages may be added."""
        return max(0, self._max_messages - len(self._position_of)) if self._bytes < self._max_bytes else 0

    @property
    def waiting(self) -> int:
        """How many messages are on their way: all but the parked ones."""
        return len(self._under_way) + len(self._waiting)

    @property
    def parked(self) -> int:
        """How many messages wait for `reopen`."""
        return len(self._parked)

    def add(self, messages: Iterable[Outgoing]) -> None:
        """Append messages; those that are in memory already stay where they are."""
        for message in messages:
            if message.id not in self._position_of:
                self._position_of[message.id] = next(self._positions)
                self._bytes += len(message.body)
                self._waiting.append(message)

    def next_round(self, limit: int) -> list[Outgoing]:
        """Up to `limit` messages that may be under way together, none of them behind another of its session.

        They are to be given to `settle`, or else come again with the next round.
        """
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way = messages = list[Outgoing]()
        sessions: set[str] = set()
        while self._waiting and len(messages) < limit:
            message = self._waiting[0]
            if self._closed_routes and self._is_blocked(message):
                self._park(self._waiting.popleft())
            elif sessions.isdisjoint(message.sessions):
                messages.append(self._waiting.popleft())
                sessions |= message.sessions
            else:
                break
        return messages

    def settle(self, outcomes: Sequence[Outcome]) -> list[UUID]:
        """Note what became of the messages of the round, in its order. Returns those that are confirmed."""
        messages, self._under_way = self._under_way, []
        confirmed: list[UUID] = []
        for message, (fate, reason) in zip(messages, outcomes, strict=True):
            match fate:
                case Fate.CONFIRMED:
                    del self._position_of[message.id]
                    self._bytes -= len(message.body)
                    self.refused.pop(message.route, None)
                    confirmed.append(message.id)
                case Fate.REFUSED:
                    self.refused[message.route] = reason
                    self._closed_routes.add(message.route)
                    self._park(message)
                case Fate.UNKNOWN:
                    self._under_way.append(message)
                case _:
                    assert_never(fate)
        return confirmed

    def reopen(self) -> None:
        """Try parked messages again, in their old places."""
        # Sorted, because a message may be parked before an older one of its session that was under way.
        self._waiting = deque(sorted([*self._parked, *self._waiting], key=lambda one: self._position_of[one.id]))
        self._parked.clear()
        self._stopped_sessions.clear()
        self._closed_routes.clear()

    def _park(self, message: Outgoing) -> None:
        self._parked.append(message)
        self._stopped_sessions.update((message.exchange, session) for session in message.sessions)

    def _is_blocked(self, message: Outgoing) -> bool:
        return message.route in self._closed_routes or not self._stopped_sessions.isdisjoint(
            (message.exchange, session) for session in message.sessions
        )
