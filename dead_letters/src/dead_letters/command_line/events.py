"""Server-sent events: read as they come, and followed over a loss of the connection."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dead_letters.command_line.client import Client, Json
from dead_letters.command_line.exits import Unreachable

SILENCE_S = 35.0
"""The service says something every ten seconds, whatever happens."""
RETRY_INTERVAL_S = 2.0
PATIENCE_S = 60.0
"""So long the service may be away before nobody waits for it any more."""


@dataclass(frozen=True)
class Event:
    """One event. Without data, it only says how far the stream is."""

    name: str
    data: str
    event_id: str | None


def read_events(chunks: Iterator[bytes]) -> Iterator[Event]:
    """The events in the bytes. Lines end where the format says so, and not at every other line end of Unicode."""
    name, event_id = "message", None
    data: list[str] = []
    for line in _lines(chunks):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event" if field != line:
                name = value
            case "data":
                data.append(value)
            case "id":
                event_id = value
            case "" if not line:
                if data or event_id is not None:
                    yield Event(name, "\n".join(data), event_id)
                name, event_id, data = "message", None, []


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode(errors="replace")


def follow(client: Client, path: str, query: Mapping[str, Any], tell: Callable[[str], None]) -> Generator[Json]:
    """The data of all events, for ever. Raises Unreachable when the service is away at first, or for long."""
    last_id: str | None = None
    lost_at: float | None = None
    while True:
        try:
            headers = {"Last-Event-ID": last_id} if last_id else None
            with client.stream(path, query, silence_s=SILENCE_S, headers=headers) as chunks:
                for event in read_events(chunks):
                    if lost_at is not None:
                        tell("The connection is back.")
                        lost_at = None
                    last_id = event.event_id or last_id
                    if event.name == "dead-letter":
                        yield json.loads(event.data)
            raise Unreachable("the service has ended the stream")
        except Unreachable as error:
            if last_id is None:
                raise
            if lost_at is None:
                lost_at = time.monotonic()
                tell(f"The connection is lost, trying again: {error}")
            if time.monotonic() - lost_at > PATIENCE_S:
                raise
        time.sleep(RETRY_INTERVAL_S)
