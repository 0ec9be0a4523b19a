"""What it keeps."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Journal:
    session: str
    numbers: str = ""
    """In the order in which they were handled, each with a comma after it."""
    due_at: datetime | None = None
    when_due: str = ""


@dataclass(frozen=True)
class Page:
    page_id: UUID
    title: str | None
    size: int = 0
