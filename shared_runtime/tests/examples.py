"""Messages and envelopes for tests."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
from hypothesis import strategies as st
from msgspec import Struct
from pydantic import BaseModel
from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from shared_runtime.envelope import Envelope, new_id

MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


class Counted(BaseModel):
    """A message with a number in it."""

    message_type: ClassVar[str] = "tests.counted.v1"
    topic: ClassVar[str] = "delivery-events"

    session_id: str
    number: int = 0


class Line(Struct, frozen=True):
    """A state whose key has two columns, with another one between them."""

    page: int
    text: str
    number: int


class LineRow(SQLModel, table=True):
    """Its row."""

    __tablename__ = "line"

    page: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    text: str = Field(sa_column=Column(Text, nullable=False))


def an_envelope(**changes: Any) -> Envelope:
    """An event, but for the changes."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_id(),
        "source": "/tests",
        "type": Counted.message_type,
        "time": MOMENT,
        "session_id": "session-1",
        "correlation_id": "flow-1",
        "data": b"{}",
    }
    attributes |= changes
    return Envelope(**attributes | {"data": msgspec.Raw(attributes["data"])})


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))
data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
).map(msgspec.json.encode)

envelopes = st.builds(
    an_envelope,
    id=st.uuids(),
    source=any_text,
    type=printable,
    time=moments,
    session_id=printable,
    correlation_id=printable,
    causation_id=st.none() | printable,
    expires_at=st.none() | moments,
    traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    attempt_epoch=st.integers(0, 2**31 - 1),
    subject=st.none() | any_text,
    data=data,
)
"""Whatever can be an event."""
