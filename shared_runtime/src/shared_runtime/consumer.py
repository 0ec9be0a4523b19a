"""What a service reacts to: one handler per message, with the states that the handler needs."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import asyncpg

from shared_runtime.store import Key, Store
from shared_runtime.unit_of_work import UnitOfWork

Handler = Callable[[Any, UnitOfWork], Any]
Loader = Callable[[asyncpg.Connection, Sequence[Any]], Awaitable[Iterable[object]]]
H = TypeVar("H", bound=Handler)

HANDLER_TIMEOUT_S = 10.0
"""A handler that waits longer for something has failed: its transaction holds locks, and its partition waits."""


class Subscription(Protocol):
    """One service's share of a topic: some message types, in a number of partition queues."""

    @property
    def name(self) -> str: ...

    @property
    def topic(self) -> Any: ...

    @property
    def messages(self) -> tuple[type[Any], ...]: ...

    @property
    def partitions(self) -> int: ...

    @property
    def is_ordered(self) -> bool: ...

    def queue(self, partition: int) -> str: ...

    @property
    def dead_letter_queue(self) -> str: ...


@dataclass(frozen=True)
class KeyedLoad:
    """States of one class, by a key that each message names. None names nothing."""

    state: type
    key: Callable[[Any], Key | None]


def loaded_by(state: type, key: Callable[[Any], Key | None]) -> KeyedLoad:
    """Load the state whose primary key `key(message)` gives."""
    return KeyedLoad(state, key)


@dataclass(frozen=True)
class Registration:
    """One handler and what it needs."""

    message: type
    handler: Handler
    loads: tuple[KeyedLoad, ...]
    loaders: tuple[Loader, ...]
    even_expired: bool = False

    async def call(self, message: Any, work: UnitOfWork) -> Any:
        """Run the handler, be it a plain function or a coroutine function.

        Raises TimeoutError when it waits longer than HANDLER_TIMEOUT_S.
        """
        result = self.handler(message, work)
        # Most handlers return nothing, and asking whether that can be awaited takes longer than the rest.
        if result is None or not inspect.isawaitable(result):
            return result
        async with asyncio.timeout(HANDLER_TIMEOUT_S):
            return await result


@dataclass(frozen=True)
class DueColumn:
    """A column that says when its row needs attention next."""

    state: type
    column: str
    registration: Registration


@dataclass(frozen=True)
class Periodic:
    """A handler that runs every `interval_s` seconds."""

    interval_s: float
    registration: Registration


class Tick:
    """The message of a periodic handler."""


@dataclass
class Consumer:
    """The handlers of one service, and where their states are kept."""

    service: str
    subscriptions: Sequence[Subscription]
    stores: Sequence[Store[Any]] = ()
    partitions: int = 4
    """How many queues a partitioned subscription has: the same number for every publisher and consumer of a topic."""
    registrations: dict[type, Registration] = field(default_factory=dict)
    due_columns: list[DueColumn] = field(default_factory=list)
    periodics: list[Periodic] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store_of: dict[type, Store[Any]] = {store.state: store for store in self.stores}
        self.key_of: dict[type, Callable[[Any], Key]] = {store.state: store.key_of for store in self.stores}

    def handles(
        self,
        message: type,
        *,
        loads: Sequence[type | KeyedLoad | Loader] = (),
        even_expired: bool = False,
    ) -> Callable[[H], H]:
        """Register the handler of a message type, or of a command that HTTP hands over.

        `loads` names what the handler may `get`: a state class (by the message's session), `loaded_by(...)`, or a
        loader of the service's own. A message that is read after its `expires_at` is dead-lettered, unless the handler
        wants it `even_expired`, to answer it.
        """

        def register(handler: H) -> H:
            if message in self.registrations:
                raise ValueError(f"{message.__name__} has a handler already")
            self.registrations[message] = self._registration(message, handler, loads, even_expired)
            return handler

        return register

    def when_due(
        self, state: type, column: str, *, loads: Sequence[type | KeyedLoad | Loader] = ()
    ) -> Callable[[H], H]:
        """Register what happens when `column` of a row is past: `handler(state, work)`.

        The handler puts the state back with a later moment in the column, or with None.
        """

        def register(handler: H) -> H:
            key = self.store_of[state].key_of
            registration = self._registration(state, handler, [KeyedLoad(state, key), *loads], False)
            self.due_columns.append(DueColumn(state, column, registration))
            return handler

        return register

    def every(self, interval_s: float, *, loads: Sequence[Loader] = ()) -> Callable[[H], H]:
        """Register work that each process does every `interval_s` seconds: `handler(tick, work)`."""

        def register(handler: H) -> H:
            self.periodics.append(Periodic(interval_s, self._registration(Tick, handler, loads, False)))
            return handler

        return register

    def check(self) -> None:
        """Raise ValueError unless every message that the service subscribes to has a handler."""
        for subscription in self.subscriptions:
            missing = [message.__name__ for message in subscription.messages if message not in self.registrations]
            if missing:
                raise ValueError(f"{subscription.name} delivers what nobody handles: {', '.join(missing)}")

    def _registration(
        self,
        message: type,
        handler: Handler,
        loads: Sequence[type | KeyedLoad | Loader],
        even_expired: bool,
    ) -> Registration:
        keyed: list[KeyedLoad] = []
        loaders: list[Loader] = []
        for load in loads:
            if isinstance(load, KeyedLoad):
                keyed.append(load)
            elif isinstance(load, type):
                keyed.append(KeyedLoad(load, _session))
            else:
                loaders.append(load)
        for load in keyed:
            if load.state not in self.store_of:
                raise ValueError(f"{handler.__name__} loads {load.state.__name__}, which no store keeps")
        return Registration(message, handler, tuple(keyed), tuple(loaders), even_expired)


def _session(message: Any) -> Key:
    session: Key = message.session_id
    return session
