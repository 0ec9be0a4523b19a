"""Triggers that note every change of a row, in the order in which transactions made them: history that nobody can skip.

They are the trial's own. What is rolled back is not in it.
"""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import msgspec

from faultline.history import Change, Published
from shared_contracts.delivery.v1 import NotificationRequested
from shared_contracts.message import Topic
from shared_runtime.envelope import Envelope, Incoming, decode

_COMMON = """
CREATE TABLE IF NOT EXISTS faultline_change (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction text NOT NULL DEFAULT pg_current_xact_id()::text,
    relation text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    drone_id text
);
CREATE TABLE IF NOT EXISTS faultline_published (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    properties text NOT NULL,
    body bytea NOT NULL
);
CREATE OR REPLACE FUNCTION faultline_note_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public AS $$
BEGIN
    INSERT INTO faultline_change (relation, key, status, drone_id)
    VALUES (TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0], to_jsonb(NEW) ->> TG_ARGV[1], to_jsonb(NEW) ->> 'drone_id');
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION faultline_note_published() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public AS $$
BEGIN
    INSERT INTO faultline_published (properties, body) VALUES (NEW.properties, NEW.body);
    RETURN NULL;
END $$;
"""
_PUBLISHED = """
CREATE OR REPLACE TRIGGER faultline_published AFTER INSERT ON outbox
FOR EACH ROW WHEN (NEW.exchange IN ({topics})) EXECUTE FUNCTION faultline_note_published();
"""
_CHANGED = """
CREATE OR REPLACE TRIGGER faultline_inserted AFTER INSERT ON {table}
FOR EACH ROW EXECUTE FUNCTION faultline_note_change('{key}', '{status}');
CREATE OR REPLACE TRIGGER faultline_updated AFTER UPDATE ON {table}
FOR EACH ROW WHEN (OLD.{status} IS DISTINCT FROM NEW.{status}{more}) EXECUTE FUNCTION
faultline_note_change('{key}', '{status}');
"""
_WATCHED = {
    "ingestion": ("delivery_progress", "delivery_id", "stage", ""),
    "package_service": ("package", "package_id", "status", ""),
    "drone_scheduler": ("booking", "delivery_id", "status", " OR OLD.drone_id IS DISTINCT FROM NEW.drone_id"),
    "delivery": ("delivery", "delivery_id", "stage", ""),
}
_TOPICS = ", ".join(f"'{topic}'" for topic in Topic if topic is not Topic.DRONE_TELEMETRY)

INSTALL = {
    service: _COMMON
    + _PUBLISHED.format(topics=_TOPICS)
    + _CHANGED.format(table=table, key=key, status=status, more=more)
    for service, (table, key, status, more) in _WATCHED.items()
}
"""What installs the triggers in each service's database."""

FORGET = "TRUNCATE faultline_change, faultline_published"


async def changes_of(connection: asyncpg.Connection, service: str) -> list[Change]:
    """All changes since the last FORGET."""
    records: list[Any] = await connection.fetch("SELECT * FROM faultline_change ORDER BY position")
    return [
        Change(
            service=service,
            position=record["position"],
            transaction=record["transaction"],
            table=record["relation"],
            key=record["key"],
            status=record["status"],
            drone_id=record["drone_id"],
        )
        for record in records
    ]


async def published_of(connection: asyncpg.Connection, service: str) -> list[Published]:
    """All events since the last FORGET that were recorded for publication, telemetry left out."""
    records: list[Any] = await connection.fetch("SELECT * FROM faultline_published ORDER BY position")
    return [event for record in records for event in _events(service, record)]


def _events(service: str, record: Any) -> Iterator[Published]:
    properties = json.loads(record["properties"])
    incoming = Incoming(record["body"], properties["content_type"], properties.get("headers", {}))
    for event in decode(incoming):
        assert isinstance(event, Envelope)  # the services' own
        data = msgspec.json.decode(event.data)
        is_notification = event.type == NotificationRequested.message_type
        yield Published(
            service=service,
            position=record["position"],
            message_id=str(event.id),
            kind=event.type,
            session=event.session_id,
            drone_id=data.get("drone_id"),
            told=f"{data['request_id']} {data['stage']}" if is_notification else None,
        )
