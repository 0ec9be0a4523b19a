"""What waits to be published, in memory: bounded, and never out of the order of a session."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence, Set
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

    A message that the broker refuses is parked, and so is what follows: its route is closed, and what its sessions
    have for the same exchange waits behind it, until `reopen` puts all of it back. A batch that holds such events
    beside others is divided, so that a session waits for its own messages alone. Parked messages take room: when they
    take all of it, everybody waits.
    """

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._under_way: list[Outgoing] = []
        self._waiting: deque[Outgoing] = deque()
        self._parked: list[Outgoing] = []
        self._positions = count()
        self._position_of: dict[UUID, int] = {}
        self._row_of: dict[UUID, UUID] = {}
        """The rows of messages that were divided, by the ids of their parts."""
        self._parts: Counter[UUID] = Counter()
        """How many parts of a row are not confirmed."""
        self._bytes = 0
        self._closed_routes: set[Route] = set()
        self._stopped_sessions: set[tuple[str, str]] = set()
        self.refused: dict[Route, str] = {}
        """Routes on which the broker has refused a message and not taken one since, and what it said."""

    @property
    def ids(self) -> Iterable[UUID]:
        """The rows of all messages in memory, parked ones included."""
        return self._position_of.keys() | self._parts.keys()

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
            if message.id not in self._position_of and message.id not in self._parts:
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
            if self._closed_routes and (stopped := self._stopped_in(message)) is not None:
                self._waiting.popleft()
                if message.is_batch and stopped < message.sessions:
                    message = self._divide(message, stopped)
                self._park(message)
            elif sessions.isdisjoint(message.sessions):
                messages.append(self._waiting.popleft())
                sessions |= message.sessions
            else:
                break
        return messages

    def settle(self, outcomes: Sequence[Outcome]) -> list[UUID]:
        """Note what became of the messages of the round, in its order.

        Returns the rows of which everything is confirmed.
        """
        messages, self._under_way = self._under_way, []
        confirmed: list[UUID] = []
        for message, (fate, reason) in zip(messages, outcomes, strict=True):
            match fate:
                case Fate.CONFIRMED:
                    del self._position_of[message.id]
                    self._bytes -= len(message.body)
                    self.refused.pop(message.route, None)
                    confirmed += self._rows_done(message.id)
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

    def _divide(self, message: Outgoing, stopped: Set[str]) -> Outgoing:
        """Put the events of the other sessions in the message's place. Returns the rest of it."""
        rest, others = message.divide(stopped)
        row = self._row_of.setdefault(message.id, message.id)
        self._row_of[others.id] = row
        self._parts[row] = max(1, self._parts[row]) + 1
        self._position_of[others.id] = self._position_of[message.id]
        self._bytes += len(rest.body) + len(others.body) - len(message.body)
        self._waiting.appendleft(others)
        return rest

    def _rows_done(self, identifier: UUID) -> list[UUID]:
        row = self._row_of.pop(identifier, identifier)
        if self._parts[row] > 1:
            self._parts[row] -= 1
            return []
        del self._parts[row]
        return [row]

    def _stopped_in(self, message: Outgoing) -> Set[str] | None:
        """The sessions of the message that have to wait, None when nothing of it has to."""
        if message.route in self._closed_routes:
            return message.sessions
        stopped = {one for one in message.sessions if (message.exchange, one) in self._stopped_sessions}
        return stopped or None
