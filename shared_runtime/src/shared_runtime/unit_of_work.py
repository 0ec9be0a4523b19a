"""What a handler sees: the states it asked for, and where it records what it decided."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar, cast
from uuid import UUID

from shared_runtime.envelope import Envelope, is_name
from shared_runtime.errors import NotLoaded
from shared_runtime.replays import DeadLetterDiscarded
from shared_runtime.store import Key

S = TypeVar("S")


class Publishable(Protocol):
    """A message as the runtime needs it: any pydantic model with a type, a topic and a session."""

    message_type: ClassVar[str]
    topic: ClassVar[Any]

    @property
    def session_id(self) -> Any: ...

    def model_dump_json(self) -> str: ...


class Publication:
    """A message that a handler recorded, when it expires, and which flow it belongs to if not the cause's."""

    __slots__ = ("correlation_id", "expires_at", "message", "traceparent")

    def __init__(
        self,
        message: Publishable,
        expires_at: datetime | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        self.message = message
        self.expires_at = expires_at
        self.correlation_id = correlation_id
        self.traceparent = traceparent


class States:
    """The states that a batch has loaded and changed, by class and key."""

    def __init__(self) -> None:
        self.current: dict[type, dict[Key, Any]] = {}
        self.changed: dict[type, dict[Key, Any]] = {}
        self.known: dict[type, dict[Key, Any]] = {}
        """What was loaded, as it was."""

    def declare(self, state: type, keys: Iterable[Key]) -> None:
        """The keys were asked of the database; those that it does not know are None."""
        known = self.current.setdefault(state, {})
        for key in keys:
            known.setdefault(key, None)

    def add_loaded(self, state: type, key: Key, value: Any) -> None:
        self.current.setdefault(state, {})[key] = value
        self.known.setdefault(state, {})[key] = value

    def apply(self, puts: dict[tuple[type, Key], Any]) -> None:
        for (state, key), value in puts.items():
            self.current.setdefault(state, {})[key] = value
            self.changed.setdefault(state, {})[key] = value


class UnitOfWork:
    """One message's view of the batch's transaction.

    What it puts and publishes counts only when the handler returns. It never commits, acknowledges or retries.
    """

    __slots__ = ("_key_of", "_puts", "_states", "discards", "envelope", "now", "publications", "replays")

    def __init__(self, states: States, key_of: dict[type, Any], envelope: Envelope, now: datetime) -> None:
        self._states = states
        self._key_of = key_of
        self._puts: dict[tuple[type, Key], Any] = {}
        self.publications: list[Publication] = []
        self.replays: list[tuple[str, Envelope]] = []
        self.discards: list[tuple[str, DeadLetterDiscarded]] = []
        self.envelope = envelope
        """The attributes of the message in hand."""
        self.now = now
        """The moment at which the batch is handled, in UTC."""

    def get(self, state: type[S], key: Key) -> S | None:
        """The state with this key as this message sees it, None when there is none.

        Raises NotLoaded when the handler's `loads` did not declare the key.
        """
        put = self._puts.get((state, key))
        if put is not None:
            return cast("S", put)
        try:
            return cast("S | None", self._states.current[state][key])
        except KeyError:
            raise NotLoaded(f"{state.__name__} {key} is not in what the handler loads") from None

    def put(self, state: Any) -> None:
        """Insert or replace the state when the batch is saved."""
        kind = type(state)
        try:
            key = self._key_of[kind](state)
        except KeyError:
            raise NotLoaded(f"no store keeps {kind.__name__}") from None
        self._puts[kind, key] = state

    def publish(
        self,
        message: Publishable,
        *,
        expires_at: datetime | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Send the message when, and only when, the transaction commits.

        It belongs to the flow and the trace of the message in hand, unless `correlation_id` and `traceparent` name
        another: what a drone reports, for example, moves the flow of a delivery on. Raises ValueError when
        `expires_at` has no time zone, or when the correlation id is none.
        """
        if expires_at is not None and expires_at.utcoffset() is None:
            raise ValueError(f"expires_at has no time zone: {expires_at}")
        if correlation_id is not None and not is_name(correlation_id):
            raise ValueError(f"no correlation id: {correlation_id!r}")
        self.publications.append(Publication(message, expires_at, correlation_id, traceparent))

    def replay(self, queue: str, envelope: Envelope) -> None:
        """Send a dead letter's event to the queue that it came from, with a higher attempt epoch than it had.

        For the service that looks after dead letters.
        """
        self.replays.append((queue, envelope))

    def discard_parked(self, queue: str, session_id: str, message_id: UUID) -> None:
        """Tell the service that reads the queue that nobody will replay the message, so that its session goes on.

        For the service that looks after dead letters.
        """
        self.discards.append((queue, DeadLetterDiscarded(session_id=session_id, message_id=message_id)))

    def accept(self) -> None:
        """Make what the message put part of the batch. For the runtime, when the handler has returned."""
        self._states.apply(self._puts)
