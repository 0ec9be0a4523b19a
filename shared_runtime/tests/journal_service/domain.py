"""What it keeps."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct


class Journal(Struct, frozen=True):
    session: str
    numbers: str = ""
    """In the order in which they were handled, each with a comma after it."""
    due_at: datetime | None = None
    when_due: str = ""


class Page(Struct, frozen=True):
    page_id: UUID
    title: str | None
    size: int = 0
