"""The bytes of dead letters, read as what they are."""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from shared_runtime.envelope import Envelope, Incoming, Undecodable, decode


class Content(Struct, frozen=True):
    """The current body of a dead letter, and the headers that the message came with."""

    key: UUID
    """The dead letter."""
    version: int
    body: bytes
    content_type: str
    headers: Mapping[str, Any]

    def read(self) -> list[Envelope | Undecodable]:
        """What a consumer would read."""
        return decode(Incoming(self.body, self.content_type, self.headers))

    def events(self) -> list[Envelope]:
        """The events inside, none when a part of it is no event."""
        found = self.read()
        events = [one for one in found if isinstance(one, Envelope)]
        return events if len(events) == len(found) else []

    @property
    def error(self) -> str | None:
        """Why it is no event, None when it is."""
        found = self.read()
        errors = [one.error for one in found if isinstance(one, Undecodable)]
        if not found:
            return "the batch is empty"
        return errors[0] if errors else None


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
