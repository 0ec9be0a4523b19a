"""Its messages, and who subscribes to them."""

from typing import Any, ClassVar

from pydantic import BaseModel

from shared_contracts.message import Topic
from shared_contracts.topology import Subscription


class Entry(BaseModel):
    """A number for a journal, and what is to go wrong on the way."""

    message_type: ClassVar[str] = "tests.entry.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY_REQUESTS

    session: str
    number: int
    how: str = ""
    text: str = ""

    @property
    def session_id(self) -> str:
        return self.session


class Remark(BaseModel):
    """Another type of the same sessions, with a handler that wants it even when it is expired."""

    message_type: ClassVar[str] = "tests.remark.v1"
    topic: ClassVar[Topic] = Topic.DELIVERY_REQUESTS

    session: str
    number: int

    @property
    def session_id(self) -> str:
        return self.session


class Noted(BaseModel):
    """The journal has the number."""

    message_type: ClassVar[str] = "tests.noted.v1"
    topic: ClassVar[Any] = Topic.DELIVERY

    session: str
    number: int
    text: str = ""

    @property
    def session_id(self) -> str:
        return self.session


class Unheard(Noted):
    """Nobody listens to it."""

    message_type: ClassVar[str] = "tests.unheard.v1"


class Misdirected(Noted):
    """It goes where there is no exchange."""

    message_type: ClassVar[str] = "tests.misdirected.v1"
    topic: ClassVar[Any] = "nowhere"


ENTRIES = Subscription("journal", Topic.DELIVERY_REQUESTS, (Entry, Remark))
NOTES = Subscription("listener", Topic.DELIVERY, (Noted,))
TOPOLOGY = (ENTRIES, NOTES)
