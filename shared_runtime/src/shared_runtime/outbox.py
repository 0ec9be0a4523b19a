"""The messages of a transaction, as rows that commit with it, grouped so that one AMQP message carries many events."""

from collections.abc import Iterable, Sequence, Set
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from shared_runtime.envelope import (
    ATTRIBUTES_BYTES,
    BATCH,
    HEADER_PREFIX,
    JSON,
    MAX_DATA_BYTES,
    Envelope,
    Incoming,
    decode,
    encode_batch,
    headers_of,
    is_session_id,
    new_id,
)
from shared_runtime.partition import hash_of, partition_of
from shared_runtime.tracing import continued
from shared_runtime.unit_of_work import Publication
from shared_runtime.writes import Beside, Write, execute

MAX_EVENTS_PER_MESSAGE = 100
MAX_BYTES_PER_MESSAGE = 64 * 1024
"""With the attributes of its events, about. Small enough that a consumer may prefetch hundreds of messages. A larger
event travels alone."""
MAX_OTHERS = 2_000
"""When other processes have more unconfirmed messages than this, nobody looks which sessions they are of: during an
outage of the broker there are more with every commit, and every commit would look through all of them."""
SESSION_HEADER = HEADER_PREFIX + "sessionid"


class Properties(msgspec.Struct, frozen=True, omit_defaults=True):
    """The AMQP properties of a message that is to be published."""

    content_type: str
    message_id: str
    headers: dict[str, Any] = {}
    correlation_id: str | None = None
    type: str | None = None


class Outgoing(msgspec.Struct, frozen=True):
    """One AMQP message: a row of the outbox until the broker has confirmed it."""

    id: UUID
    exchange: str
    routing_key: str
    properties: Properties
    body: bytes
    sessions: frozenset[str] = frozenset()
    """The sessions of the events inside."""

    @property
    def route(self) -> tuple[str, str]:
        """Exchange and routing key."""
        return self.exchange, self.routing_key

    @property
    def is_batch(self) -> bool:
        """Whether it was packed here from several events. A dead letter may hold somebody else's batch, as it came."""
        return self.properties.content_type == BATCH and not self.properties.headers

    def divide(self, sessions: Set[str]) -> tuple["Outgoing", "Outgoing"]:
        """The events of these sessions, and the others.

        The first keeps the id, and with it the row, which still holds everything: a process that starts meanwhile
        publishes the others again, and their consumers know them.
        """
        events = self._events()
        chosen = [event for event in events if event.session_id in sessions]
        others = [event for event in events if event.session_id not in sessions]
        return _message(self.route, chosen, self.id), _message(self.route, others, new_id())

    def _events(self) -> list[Envelope]:
        read = decode(Incoming(self.body, self.properties.content_type, self.properties.headers))
        return [event for event in read if isinstance(event, Envelope)]


class Routed(msgspec.Struct, frozen=True):
    """An event and where it goes."""

    exchange: str
    routing_key: str
    envelope: Envelope


def routed(
    publication: Publication,
    *,
    cause: Envelope,
    source: str,
    traceparent: str | None,
    now: datetime,
    partitions: int,
) -> Routed:
    """The event of a message that the handler of `cause` recorded.

    Raises ValueError when no consumer would accept it.
    """
    message = publication.message
    session_id = str(message.session_id)
    data = message.model_dump_json().encode()
    if not is_session_id(session_id):
        raise ValueError(f"{type(message).__name__}: {session_id!r} is no session id")
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"{type(message).__name__} has {len(data)} bytes, at most {MAX_DATA_BYTES} are allowed")
    envelope = Envelope(
        specversion="1.0",
        id=new_id(),
        source=source,
        type=message.message_type,
        time=now,
        session_id=session_id,
        correlation_id=publication.correlation_id or cause.correlation_id or session_id,
        causation_id=str(cause.id),
        expires_at=publication.expires_at,
        traceparent=continued(publication.traceparent, traceparent),
        subject=session_id,
        data=msgspec.Raw(data),
    )
    key = f"{message.message_type}.{partition_of(session_id, partitions)}"
    return Routed(str(message.topic), key, envelope)


class _Group:
    __slots__ = ("bytes", "envelopes", "route")

    def __init__(self, route: tuple[str, str]) -> None:
        self.route = route
        self.envelopes: list[Envelope] = []
        self.bytes = 0


def pack(events: Iterable[Routed]) -> list[Outgoing]:
    """Put the events of one route into one message, without letting any event overtake another of its session."""
    groups: list[_Group] = []
    open_group: dict[tuple[str, str], int] = {}
    last_group_of_session: dict[str, int] = {}
    for event in events:
        route = (event.exchange, event.routing_key)
        session = event.envelope.session_id
        index = open_group.get(route, -1)
        size = ATTRIBUTES_BYTES + len(bytes(event.envelope.data))
        if (
            index < last_group_of_session.get(session, 0)
            or len(groups[index].envelopes) >= MAX_EVENTS_PER_MESSAGE
            or groups[index].bytes + size > MAX_BYTES_PER_MESSAGE
        ):
            index = open_group[route] = len(groups)
            groups.append(_Group(route))
        groups[index].envelopes.append(event.envelope)
        groups[index].bytes += size
        last_group_of_session[session] = index
    return [_message(group.route, group.envelopes, new_id()) for group in groups]


def _message(route: tuple[str, str], envelopes: Sequence[Envelope], identifier: UUID) -> Outgoing:
    exchange, routing_key = route
    if len(envelopes) == 1:
        (envelope,) = envelopes
        return Outgoing(
            identifier,
            exchange,
            routing_key,
            Properties(JSON, str(envelope.id), headers_of(envelope), envelope.correlation_id, envelope.type),
            bytes(envelope.data),
            frozenset({envelope.session_id}),
        )
    sessions = frozenset(envelope.session_id for envelope in envelopes)
    properties = Properties(BATCH, str(identifier))
    return Outgoing(identifier, exchange, routing_key, properties, encode_batch(envelopes), sessions)


# The age of a row is told by the clock of the database, and its place by a sequence: ids hold the time of a process.
# Whoever handled a session before had committed when the states of the session were loaded here, so its row is seen.
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::uuid[])"
_KEEP = Beside(
    f"""
    confirmed AS ({_DELETE}),
    added AS (
        INSERT INTO outbox (id, owner, exchange, routing_key, properties, body, sessions, created_at)
        SELECT id, $8, exchange, routing_key, properties, body, sessions::integer[], now()
        FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[])
             WITH ORDINALITY AS message (id, exchange, routing_key, properties, body, sessions, place)
        ORDER BY place
    )""",  # noqa: S608 - nothing but the statement above is put into it
    """(
        SELECT count(*) > $10 OR coalesce(bool_or(sessions && $9::integer[]), false)
        FROM (SELECT sessions FROM outbox WHERE owner < $8 OR owner > $8 LIMIT $10 + 1) AS other
    )""",
    parameters=10,
)
# Whatever stands before an old row is old as well, although its transaction may have begun later. So is a row of the
# future: the clock has been set back since.
_OLDEST = """
SELECT id, exchange, routing_key, properties, body FROM outbox
WHERE position <= (
    SELECT max(position) FROM outbox
    WHERE created_at <= statement_timestamp() - make_interval(secs => $1)
       OR created_at > statement_timestamp() + make_interval(secs => $1)
) AND NOT id = ANY($3::uuid[])
ORDER BY position LIMIT $2
"""
_DEPTH = "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox"


async def save(
    connection: asyncpg.Connection,
    writes: Sequence[Write],
    messages: Sequence[Outgoing],
    owner: int,
    confirmed: Sequence[UUID] = (),
) -> bool:
    """Write what a batch has changed, with the messages that tell of it, as those of the process `owner`.

    Messages that the broker has confirmed are removed. Returns whether another process has, or may have, messages of
    the same sessions that are not confirmed: they are to be published first, by whomever. Raises what
    `writes.execute` raises.
    """
    if not messages and not confirmed:
        await execute(connection, writes)
        return False
    hashes = [sorted({hash_of(session) for session in message.sessions}) for message in messages]
    arguments = [
        confirmed,
        [message.id for message in messages],
        [message.exchange for message in messages],
        [message.routing_key for message in messages],
        [msgspec.json.encode(message.properties, enc_hook=str).decode() for message in messages],
        [message.body for message in messages],
        ["{" + ",".join(map(str, some)) + "}" for some in hashes],
        owner,
        list({one for some in hashes for one in some}),
        MAX_OTHERS,
    ]
    is_behind: bool = await execute(connection, writes, _KEEP, arguments)
    return is_behind


async def delete(connection: asyncpg.Connection, identifiers: Sequence[UUID]) -> None:
    """Remove messages that the broker has confirmed."""
    await connection.execute(_DELETE, identifiers)


async def oldest(
    connection: asyncpg.Connection, *, older_than_s: float, limit: int, but: Iterable[UUID]
) -> list[Outgoing]:
    """Unconfirmed messages of a certain age, in the order of their creation, except those that `but` names."""
    records = await connection.fetch(_OLDEST, older_than_s, limit, list(but))
    return [_from_record(record) for record in records]


def _from_record(record: asyncpg.Record) -> Outgoing:
    properties = msgspec.json.decode(record["properties"], type=Properties)
    message = Outgoing(record["id"], record["exchange"], record["routing_key"], properties, record["body"])
    if message.is_batch:
        sessions = frozenset(event.session_id for event in message._events())
    else:
        session = properties.headers.get(SESSION_HEADER)
        sessions = frozenset() if session is None else frozenset({str(session)})
    return msgspec.structs.replace(message, sessions=sessions)


async def depth(connection: asyncpg.Connection) -> tuple[int, float]:
    """How many messages are unconfirmed, and the age of the oldest in seconds."""
    record = await connection.fetchrow(_DEPTH)
    assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return record[0], record[1]
