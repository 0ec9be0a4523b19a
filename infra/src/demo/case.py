"""A request of this run, what was seen of it, and whether that is what its kind should lead to. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel

from demo.kinds import Kind
from demo.scenario import PlannedRequest
from shared_contracts.delivery.v1 import DeliveryCancellationCause, DeliveryFailureReason, RefusalReason
from shared_contracts.domain_types import DeliveryStage

ACCEPTED = "Accepted"
REFUSED = "Refused"


class ToldChange(BaseModel):
    """Where the wish for a change stands."""

    state: str
    refusal_reason: RefusalReason | None


class ToldStatus(BaseModel):
    """The part of ingestion's status that matters here."""

    delivery_id: UUID
    stage: DeliveryStage
    is_ended: bool
    reason: str | None
    cancellation: ToldChange | None
    reschedule: ToldChange | None


class Seen(StrEnum):
    """What a customer may see besides the status."""

    REPLAY = "the repeated request got the same delivery"
    KEY_REUSE_REFUSED = "another request with the same key was refused"
    WRONG_CONFIRMATION_REFUSED = "the wrong confirmation was refused"
    WISH_TO_BE_TOLD = "the wish to be told was accepted"
    TOLD = "the owner was told of the end"


@dataclass
class Case:
    """One request of this run."""

    request: PlannedRequest
    delivery_id: UUID | None = None
    """None until it is accepted."""
    refusal: str | None = None
    """Why it was refused at the door: status and problem."""
    status: ToldStatus | None = None
    """What was told of it last."""
    seen: set[Seen] = field(default_factory=set)
    trouble: str | None = None
    """What kept the customer from going on."""

    @property
    def kind(self) -> Kind:
        return self.request.kind

    @property
    def is_over(self) -> bool:
        return self.refusal is not None or (self.status is not None and self.status.is_ended)

    @property
    def ending(self) -> str:
        """What became of it, in a few words."""
        if self.refusal is not None:
            return f"refused at once ({self.refusal})"
        if self.status is None:
            return "not accepted" if self.delivery_id is None else "never told of"
        reason = self.status.reason
        return (
            f"{self.status.stage} ({reason})"
            if reason and self.status.stage is DeliveryStage.FAILED
            else (self.status.stage.value)
        )

    @property
    def surprise(self) -> str | None:
        """What should not have happened to a request of this kind, None when all is as it should be."""
        if self.trouble is not None:
            return self.trouble
        if not self.is_over:
            return f"has not ended: {self.ending}"
        return _surprise_of(self)


_FAILS_FOR: dict[Kind, frozenset[DeliveryFailureReason]] = {
    # The others are what delivery says when an outage outlasts the short deadline of these.
    Kind.NO_DRONE: frozenset(
        {
            DeliveryFailureReason.NO_DRONE_AVAILABLE,
            DeliveryFailureReason.REQUEST_EXPIRED,
            DeliveryFailureReason.NOT_SCHEDULED_IN_TIME,
        }
    ),
    Kind.TOO_HEAVY: frozenset({DeliveryFailureReason.PACKAGE_TOO_HEAVY}),
    Kind.TAG_NOT_ALLOWED: frozenset({DeliveryFailureReason.PACKAGE_TAG_NOT_ALLOWED}),
    Kind.TOO_FAR: frozenset({DeliveryFailureReason.NO_SUITABLE_DRONE}),
}
_CANCELLED = frozenset({Kind.CANCELLED_AT_ONCE, Kind.CANCELLED_WHEN_BOOKED})
_TO_BE_SEEN: dict[Kind, frozenset[Seen]] = {
    Kind.SENT_TWICE: frozenset({Seen.REPLAY, Seen.KEY_REUSE_REFUSED}),
    Kind.WRONGLY_CONFIRMED: frozenset({Seen.WRONG_CONFIRMATION_REFUSED}),
    Kind.NOTIFIED: frozenset({Seen.WISH_TO_BE_TOLD, Seen.TOLD}),
}


def _surprise_of(case: Case) -> str | None:
    if (case.kind is Kind.EXPIRED) != (case.refusal is not None):
        return case.ending
    if case.status is None:
        return None if case.refusal == "422 invalid-request" else case.ending
    return _surprise_in_ending(case, case.status) or _surprise_in_changes(case, case.status) or _missing(case)


def _surprise_in_ending(case: Case, status: ToldStatus) -> str | None:
    if case.kind in _FAILS_FOR:
        is_expected = status.stage is DeliveryStage.FAILED and status.reason in _FAILS_FOR[case.kind]
    elif case.kind in _CANCELLED:
        is_expected = _is_cancelled(status)
    elif case.kind is Kind.CANCELLED_ON_THE_WAY:
        # The drone may be quicker than the customer. Then the package was on board and is delivered.
        is_expected = _is_cancelled(status) or status.stage is DeliveryStage.COMPLETED
    else:
        is_expected = status.stage is DeliveryStage.COMPLETED
    return None if is_expected else case.ending


def _is_cancelled(status: ToldStatus) -> bool:
    is_wished = status.reason == DeliveryCancellationCause.CUSTOMER_REQUEST
    return status.stage is DeliveryStage.CANCELLED and is_wished


def _surprise_in_changes(case: Case, status: ToldStatus) -> str | None:
    match case.kind:
        case Kind.RESCHEDULED:
            return _differs("reschedule", status.reschedule, ACCEPTED)
        case Kind.RESCHEDULED_TOO_LATE:
            return _differs("reschedule", status.reschedule, REFUSED, RefusalReason.PICKUP_UNDER_WAY)
        case Kind.CANCELLED_TOO_LATE:
            return _differs("cancellation", status.cancellation, REFUSED, RefusalReason.PACKAGE_ON_BOARD)
        case _:
            return None


def _differs(name: str, change: ToldChange | None, state: str, reason: RefusalReason | None = None) -> str | None:
    if change is None:
        return f"{name} unknown"
    if change.state != state or (reason is not None and change.refusal_reason is not reason):
        return f"{name} {change.state} ({change.refusal_reason})"
    return None


def _missing(case: Case) -> str | None:
    missing = _TO_BE_SEEN.get(case.kind, frozenset()) - case.seen
    return f"not seen: {', '.join(sorted(missing))}" if missing else None
