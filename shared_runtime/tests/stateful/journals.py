"""The subscription of a service on a real database, with the broker, the processes and the time in a test's hand.

The queries, the locks and the transactions are PostgreSQL's. What a test decides is what is delivered when and how
often, what a handler does, which commit is lost or unanswered, when a process dies, and when a retry is due.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest import mock

import asyncpg
import msgspec
from journal_service.consumers import note
from journal_service.domain import Journal
from journal_service.messages import ENTRIES, Entry, Noted
from journal_service.tables import JournalRow

from shared_runtime import (
    Consumer,
    PermanentError,
    RowStore,
    TransientError,
    UnitOfWork,
    held_retries,
    loaded_by,
    outbox,
)
from shared_runtime import dead_letter as dead_letters
from shared_runtime import retry as retrying
from shared_runtime.database import Database
from shared_runtime.dead_letter_limit import DeadLetterLimit
from shared_runtime.envelope import Envelope, Incoming, decode, new_id
from shared_runtime.errors import DatabaseUnavailable, SubscriptionPaused
from shared_runtime.held_retries import HeldRetries
from shared_runtime.messages import MessageProcessor, SubscriptionSource
from shared_runtime.processor import Processor
from shared_runtime.relay import Relay
from shared_runtime.replays import OUTCOMES_EXCHANGE, DeadLetterDiscarded, ReplayHandled
from shared_runtime.testing import envelope_of
from shared_runtime.tracing import Tracing

Identity = tuple[str, int]
"""Session and number of an entry."""

WELL, REFUSES, FAILS, NOT_YET, UNREADABLE = "well", "refuses", "fails", "not yet", "cannot be read"
MOODS = (WELL, REFUSES, FAILS, NOT_YET, UNREADABLE)

moods: dict[Identity, str] = {}
"""What the handler does with an entry at the moment. What is not here goes well."""

consumer = Consumer("journal", [ENTRIES], [RowStore(Journal, JournalRow)])


@consumer.handles(Entry, loads=[loaded_by(Journal, lambda entry: entry.session)])
def on_entry(entry: Entry, work: UnitOfWork) -> None:
    """Note the number, unless something is wrong."""
    note(entry.session, entry.number, work)
    match moods.get((entry.session, entry.number), WELL):
        case "refuses":
            raise PermanentError("not today", reason="not_today")
        case "fails":
            raise ValueError("bug")
        case "not yet":
            raise TransientError("not yet")
        case _:
            pass


class Died(BaseException):
    """The process is no more."""


@dataclass
class Fault:
    """What happens to one of the next transactions."""

    after_transactions: int
    commits: bool
    """Whether it has committed all the same."""
    dies: bool
    """Whether the process dies of it, or only loses its connection."""

    def strike(self) -> None:
        raise Died if self.dies else ConnectionResetError("the connection is gone")


class UnreliableDatabase(Database):
    """A database whose connections break, and whose clients die, at a chosen commit."""

    fault: Fault | None = None

    @asynccontextmanager
    async def transaction(self, committed: Callable[[], None] = lambda: None) -> AsyncIterator[asyncpg.Connection]:
        fault = self._due_fault()

        def answered() -> None:
            if fault is not None and fault.commits:
                fault.strike()
            committed()

        async with super().transaction(answered) as connection:
            yield connection
            if fault is not None and not fault.commits:
                fault.strike()

    def _due_fault(self) -> Fault | None:
        fault = self.fault
        if fault is None:
            return None
        if fault.after_transactions:
            fault.after_transactions -= 1
            return None
        self.fault = None
        return fault


class Process:
    """One process of the service, with what it remembers."""

    def __init__(self, pool: asyncpg.Pool, dead_letters_per_minute: int, clock: Callable[[], float]) -> None:
        self.database = UnreliableDatabase(pool)
        relay = Relay(self.database, "amqp://nowhere", "journal")
        processor = Processor(consumer, self.database, relay, Tracing("journal", traces_per_second=0, exporter=None))
        limit = DeadLetterLimit(ENTRIES.name, dead_letters_per_minute, clock)
        source = SubscriptionSource(processor, ENTRIES, limit)
        self.messages = MessageProcessor(processor, source)
        self.retries = HeldRetries(processor, [source])

    async def handle(self, batch: Sequence[Envelope], *, is_suspect: bool = False) -> bool:
        """Whether the batch is dealt with, so that it may be acknowledged. Raises Died."""
        try:
            if is_suspect:
                await self.messages.process_suspect(batch[0])
            else:
                await self.messages.process(batch)
        except (DatabaseUnavailable, SubscriptionPaused):
            return False
        return True

    async def retry(self) -> None:
        """Try once what is due. Raises Died."""
        with suppress(DatabaseUnavailable, Looked):
            await self.retries.run()


class Looked(Exception):
    """The loop over held sessions has looked once."""


@contextmanager
def time_in_hand() -> Iterator[None]:
    """Nothing is due by itself, and the loop over held sessions ends after one look."""

    async def end_of_look(_retries: HeldRetries, _pause_s: float, *, is_empty: bool) -> None:
        raise Looked

    with (
        mock.patch.object(retrying, "FIRST_PAUSE_S", 600.0),
        mock.patch.object(retrying, "LONGEST_PAUSE_S", 600.0),
        mock.patch.object(held_retries, "LEASE_S", 600.0),
        mock.patch.object(held_retries, "WHILE_PAUSED_S", 600.0),
        mock.patch.object(HeldRetries, "_rest", end_of_look),
    ):
        yield


@dataclass
class Held:
    """A row of held_message."""

    number: int
    is_parked: bool
    epoch: int


@dataclass
class Records:
    """What the database says."""

    journals: dict[str, list[int]]
    """By session."""
    held: dict[str, list[Held]]
    """By session, in order."""
    noted: dict[str, list[int]]
    """What was published of it."""
    letters: list[tuple[Envelope, int]]
    """Dead letters and their attempt epochs."""
    outcomes: Counter[tuple[str, int]]
    """Replays that were said to be handled, by message id and attempt epoch."""


class Place:
    """A database and the loop that talks to it."""

    def __init__(self, database_url: str) -> None:
        self._loop = asyncio.new_event_loop()
        # The server does not crash here, so commits need not wait for the disk.
        quick = {"synchronous_commit": "off", "jit": "off"}

        async def connected() -> asyncpg.Pool:
            return await asyncpg.create_pool(database_url, min_size=1, max_size=6, server_settings=quick)

        self.pool: asyncpg.Pool = self.run(connected())

    def close(self) -> None:
        self.run(self.pool.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def run(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await awaitable

        return self._loop.run_until_complete(wait())

    def clear(self) -> None:
        """Forget everything."""
        tables = ("inbox", "outbox", "held_message", "crash_suspect", "journal")
        self.run(self.pool.execute(";".join(f"DELETE FROM {table}" for table in tables)))  # noqa: S608

    def let_retries_be_due(self) -> None:
        self.run(self.pool.execute("UPDATE held_message SET due_at = now() - interval '1 minute'"))

    def let_patience_end(self) -> None:
        """What failed long ago has failed for too long."""
        self.run(self.pool.execute("UPDATE held_message SET first_failed_at = first_failed_at - interval '1 hour'"))

    def records(self, number_of: dict[Any, Identity]) -> Records:
        """Everything that counts, by the numbers of the messages."""
        return self.run(self._records(number_of))  # type: ignore[no-any-return]

    async def _records(self, number_of: dict[Any, Identity]) -> Records:
        async with self.pool.acquire() as connection:
            journals = await connection.fetch("SELECT session, numbers FROM journal")
            rows = await connection.fetch(
                "SELECT session_id, message_id, is_parked, attributes FROM held_message ORDER BY position"
            )
            published = await outbox.oldest(connection, older_than_s=-60, limit=100_000, but=())
        held: dict[str, list[Held]] = {}
        for row in rows:
            epoch = msgspec.json.decode(row["attributes"]).get("cloudEvents_attemptepoch", 0)
            held.setdefault(row["session_id"], []).append(
                Held(number_of[row["message_id"]][1], row["is_parked"], epoch)
            )
        records = Records({row[0]: list(map(int, row[1].split(",")[:-1])) for row in journals}, held, {}, [], Counter())
        for message in published:
            events = decode(Incoming(message.body, message.properties.content_type, message.properties.headers))
            for event in events:
                assert isinstance(event, Envelope)
                if message.exchange == dead_letters.EXCHANGE:
                    records.letters.append((event, event.attempt_epoch))
                elif message.exchange == OUTCOMES_EXCHANGE:
                    said = ReplayHandled.model_validate_json(bytes(event.data))
                    records.outcomes[str(said.message_id), said.attempt_epoch] += 1
                else:
                    noted = Noted.model_validate_json(bytes(event.data))
                    records.noted.setdefault(noted.session, []).append(noted.number)
        return records


def entry_of(session: str, number: int, mood: str) -> Envelope:
    """A new entry."""
    envelope = envelope_of(Entry(session=session, number=number))
    if mood == UNREADABLE:
        return msgspec.structs.replace(envelope, data=msgspec.Raw(b'{"session": 7}'))
    return envelope


def replay_of(letter: Envelope, identity: Identity, *, is_mended: bool) -> Envelope:
    """What support sends for a dead letter: with its id, a higher epoch, and perhaps better data."""
    session, number = identity
    data = Entry(session=session, number=number).model_dump_json().encode() if is_mended else bytes(letter.data)
    return msgspec.structs.replace(letter, attempt_epoch=letter.attempt_epoch + 1, data=msgspec.Raw(data))


def discard_of(letter: Envelope) -> Envelope:
    """What support sends to let a session go on without its dead letter."""
    return envelope_of(DeadLetterDiscarded(session_id=letter.session_id, message_id=letter.id), message_id=new_id())
