"""Which dead letters somebody means."""

import json
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import asdict

from dead_letters.domain.states import State


class Choice(Struct, frozen=True):
    """All conditions that are given must hold. `ids` leaves every other condition out."""

    state: State | None = None
    service: str | None = None
    subscription: str | None = None
    reason: str | None = None
    session_id: str | None = None
    correlation_id: str | None = None
    message_id: UUID | None = None
    message_type: str | None = None
    fingerprint: str | None = None
    exception: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[UUID, ...] | None = None

    def as_json(self) -> str:
        """What was asked for, for people. Many ids are counted."""
        facts = {name: value for name, value in asdict(self).items() if value is not None}
        if self.ids is not None:
            shown = [str(one) for one in self.ids[:100]]
            facts = {"ids": shown, "ids_count": len(self.ids)}
        return json.dumps(facts, default=str)
