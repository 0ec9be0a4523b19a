"""What support sends: queries and bodies."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from dead_letters.domain import limits
from dead_letters.domain.choice import Choice
from dead_letters.domain.states import BulkState, ItemState, State
from shared_runtime.http import Instant

# PostgreSQL stores no NUL in a text.
NO_NUL = r"^[^\x00]*$"
# An empty one, such as a variable of a script that is not set, is no condition that anybody means.
Term = Annotated[str, StringConstraints(min_length=1, max_length=limits.TERM_CHARACTERS_MAX, pattern=NO_NUL)]
Why = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=limits.TEXT_CHARACTERS_MAX, pattern=NO_NUL),
]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range") from None


Moment = Annotated[Instant, AfterValidator(_in_utc)]
"""What the database can compare with: next to the ends of the calendar, a zone may lead beyond them."""


class StateFilter(StrEnum):
    """The states to choose from, and all of them."""

    OPEN = State.OPEN.value
    REPLAYING = State.REPLAYING.value
    RESOLVED = State.RESOLVED.value
    DISCARDED = State.DISCARDED.value
    ANY = "any"


class Strict(BaseModel):
    """What a caller sends: a misspelt name is refused instead of overlooked."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Filter(Strict):
    """Which dead letters. All conditions that are given must hold."""

    state: StateFilter = StateFilter.OPEN
    service: Term | None = None
    """For example `drone-scheduler`."""
    subscription: Term | None = None
    """For example `drone-scheduler.delivery-requests`."""
    reason: Term | None = None
    session_id: Term | None = None
    """For most messages the delivery id."""
    correlation_id: Term | None = None
    message_id: UUID | None = None
    message_type: Term | None = None
    fingerprint: Term | None = None
    """The group: failures of the same cause have the same."""
    exception: Term | None = None
    """A part of the exception's type or text, in capitals or not."""
    since: Moment | None = None
    """Last failed at this moment or later."""
    until: Moment | None = None
    """Last failed before this moment."""

    @property
    def choice(self) -> Choice:
        """The same for the rules and the database."""
        return Choice(
            state=None if self.state is StateFilter.ANY else State(self.state.value),
            service=self.service,
            subscription=self.subscription,
            reason=self.reason,
            session_id=self.session_id,
            correlation_id=self.correlation_id,
            message_id=self.message_id,
            message_type=self.message_type,
            fingerprint=self.fingerprint,
            exception=self.exception,
            since=self.since,
            until=self.until,
        )


class ListQuery(Filter):
    """A page of the list."""

    limit: Annotated[int, Field(ge=1, le=limits.PAGE_SIZE_MAX)] = limits.PAGE_SIZE_DEFAULT
    after: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = None
    """`next_after` of the page before."""


class GroupQuery(Filter):
    """The largest groups."""

    limit: Annotated[int, Field(ge=1, le=limits.GROUPS_MAX)] = limits.PAGE_SIZE_DEFAULT


class ExportFormat(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"


class ExportQuery(Filter):
    """What to export."""

    format: ExportFormat = ExportFormat.JSONL


class LiveQuery(Filter):
    """Whose changes to follow."""

    state: StateFilter = StateFilter.ANY


class BulkQuery(Strict):
    """A page of the bulk replays."""

    state: BulkState | None = None
    limit: Annotated[int, Field(ge=1, le=limits.PAGE_SIZE_MAX)] = limits.PAGE_SIZE_DEFAULT
    after: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = None


class ItemQuery(Strict):
    """A page of the dead letters of a bulk replay."""

    state: ItemState | None = None
    limit: Annotated[int, Field(ge=1, le=limits.PAGE_SIZE_MAX)] = limits.PAGE_SIZE_DEFAULT
    after: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = None


class BodyQuery(Strict):
    """Which version of the body."""

    version: Annotated[str, Field(pattern=r"^(original|current|0|[1-9][0-9]{0,8})$")] = "current"


class AuditQuery(Strict):
    """Which audit entries, newest first."""

    actor: Term | None = None
    action: Term | None = None
    dead_letter_id: UUID | None = None
    bulk_replay_id: UUID | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, Field(ge=1, le=limits.PAGE_SIZE_MAX)] = limits.PAGE_SIZE_DEFAULT
    after: Annotated[str | None, Field(max_length=200, pattern=NO_NUL)] = None


class Selection(Strict):
    """Dead letters by a filter or by their ids, exactly one of the two. What the filter finds now is what counts."""

    filter: Filter | None = None
    ids: Annotated[list[UUID] | None, Field(min_length=1, max_length=limits.IDS_MAX)] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Selection":
        if (self.filter is None) == (self.ids is None):
            raise ValueError("give either filter or ids")
        return self

    @property
    def choice(self) -> Choice:
        """The same for the rules and the database."""
        return Choice(ids=tuple(self.ids or ())) if self.filter is None else self.filter.choice


class Reason(Strict):
    """Why somebody does something, for the audit."""

    why: Why


class BulkDiscard(Selection):
    """Discard many. Those that are not open are left alone."""

    why: Why
    dry_run: bool = False


class BulkReplayRequest(Selection):
    """Replay many, the canaries first."""

    why: Why
    canary: Annotated[int, Field(ge=0, le=1_000)] = 1
    """So many are replayed first; unless all of them are handled, it stops."""
    rate_per_s: Annotated[float, Field(gt=0, le=limits.RATE_PER_S_MAX, allow_inf_nan=False)] = 20.0
    max_failure_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.1
    """It stops when more than this share has failed, from ten answers on."""
    dry_run: bool = False


class Edit(Strict):
    """A mended copy. What is left out stays as it is; the former versions are kept."""

    body: str | None = None
    body_base64: Base64Bytes | None = None
    """The body when it is no text; at most one of the two."""
    content_type: Annotated[str | None, Field(max_length=255, pattern=r"^[\x20-\x7e]+$")] = None
    """Only where there is no event: `application/cloudevents+json` for one with its attributes in the body."""
    expires_at: Moment | None = None
    """When the event expires; null: never."""
    if_version: Annotated[int, Field(ge=0)]
    """The version that was looked at. When there is a newer one, nothing changes (409)."""
    why: Why

    @model_validator(mode="after")
    def _changes_something(self) -> "Edit":
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("give either body or body_base64")
        if not self.model_fields_set & {"body", "body_base64", "content_type", "expires_at"}:
            raise ValueError("name at least one of body, body_base64, content_type and expires_at")
        return self


class Draft(Strict):
    """A body that somebody has not sent yet, as a text or as bytes."""

    body: str | None = None
    body_base64: Base64Bytes | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Draft":
        if (self.body is None) == (self.body_base64 is None):
            raise ValueError("give either body or body_base64")
        return self

    @property
    def content(self) -> bytes:
        """The bytes."""
        return (self.body_base64 or b"") if self.body is None else self.body.encode()
