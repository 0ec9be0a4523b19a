from uuid import UUID

import pytest

from demo.case import Case, Seen, ToldChange, ToldStatus
from demo.kinds import Kind
from demo.scenario import plan_requests
from fleet_simulator.geography import DEFAULT_AREA
from shared_contracts.delivery.v1 import RefusalReason
from shared_contracts.domain_types import DeliveryStage

REQUESTS = {request.kind: request for request in plan_requests(1, 40, DEFAULT_AREA)}
ACCEPTED = ToldChange(state="Accepted", refusal_reason=None)
ON_BOARD = ToldChange(state="Refused", refusal_reason=RefusalReason.PACKAGE_ON_BOARD)
UNDER_WAY = ToldChange(state="Refused", refusal_reason=RefusalReason.PICKUP_UNDER_WAY)
COMPLETED = (DeliveryStage.COMPLETED, None)
CANCELLED = (DeliveryStage.CANCELLED, "customer_request")
FAILED = DeliveryStage.FAILED


def case(
    kind: Kind,
    end: tuple[DeliveryStage, str | None],
    *seen: Seen,
    cancellation: ToldChange | None = None,
    reschedule: ToldChange | None = None,
) -> Case:
    delivery_id = UUID(int=7)
    status = ToldStatus(
        delivery_id=delivery_id,
        stage=end[0],
        is_ended=end[0].is_terminal,
        reason=end[1],
        cancellation=cancellation,
        reschedule=reschedule,
    )
    return Case(REQUESTS[kind], delivery_id, status=status, seen=set(seen))


@pytest.mark.parametrize(
    "good",
    [
        case(Kind.ORDINARY, COMPLETED),
        case(Kind.EXPEDITED, COMPLETED),
        case(Kind.NO_DRONE, (FAILED, "no_drone_available")),
        case(Kind.TOO_HEAVY, (FAILED, "package_too_heavy")),
        case(Kind.TAG_NOT_ALLOWED, (FAILED, "package_tag_not_allowed")),
        case(Kind.TOO_FAR, (FAILED, "no_suitable_drone")),
        case(Kind.CANCELLED_AT_ONCE, CANCELLED),
        case(Kind.CANCELLED_ON_THE_WAY, CANCELLED),
        case(Kind.CANCELLED_ON_THE_WAY, COMPLETED, cancellation=ON_BOARD),
        case(Kind.CANCELLED_TOO_LATE, COMPLETED, cancellation=ON_BOARD),
        case(Kind.RESCHEDULED, COMPLETED, reschedule=ACCEPTED),
        case(Kind.RESCHEDULED_TOO_LATE, COMPLETED, reschedule=UNDER_WAY),
        case(Kind.SENT_TWICE, COMPLETED, Seen.REPLAY, Seen.KEY_REUSE_REFUSED),
        case(Kind.WRONGLY_CONFIRMED, COMPLETED, Seen.WRONG_CONFIRMATION_REFUSED),
        case(Kind.NOTIFIED, COMPLETED, Seen.WISH_TO_BE_TOLD, Seen.TOLD),
        Case(REQUESTS[Kind.EXPIRED], refusal="422 invalid-request"),
    ],
    ids=lambda good: f"{good.kind} {good.ending}",
)
def test_no_surprise_when_a_request_ends_as_its_kind_should(good: Case) -> None:
    assert good.surprise is None


@pytest.mark.parametrize(
    ("bad", "surprise"),
    [
        (Case(REQUESTS[Kind.ORDINARY]), "has not ended: not accepted"),
        (Case(REQUESTS[Kind.ORDINARY], UUID(int=7)), "has not ended: never told of"),
        (case(Kind.ORDINARY, (DeliveryStage.HEADED_TO_PICKUP, None)), "has not ended: HeadedToPickup"),
        (case(Kind.ORDINARY, (FAILED, "deadline_passed")), "Failed (deadline_passed)"),
        (case(Kind.NO_DRONE, COMPLETED), "Completed"),
        (case(Kind.TOO_HEAVY, (FAILED, "no_suitable_drone")), "Failed (no_suitable_drone)"),
        (case(Kind.CANCELLED_WHEN_BOOKED, COMPLETED), "Completed"),
        (case(Kind.CANCELLED_TOO_LATE, CANCELLED), "Cancelled"),
        (case(Kind.CANCELLED_TOO_LATE, COMPLETED), "cancellation unknown"),
        (case(Kind.RESCHEDULED, COMPLETED, reschedule=UNDER_WAY), "reschedule Refused (pickup_under_way)"),
        (case(Kind.RESCHEDULED_TOO_LATE, COMPLETED, reschedule=ACCEPTED), "reschedule Accepted (None)"),
        (case(Kind.SENT_TWICE, COMPLETED, Seen.REPLAY), f"not seen: {Seen.KEY_REUSE_REFUSED}"),
        (case(Kind.WRONGLY_CONFIRMED, COMPLETED), f"not seen: {Seen.WRONG_CONFIRMATION_REFUSED}"),
        (case(Kind.NOTIFIED, COMPLETED, Seen.WISH_TO_BE_TOLD), f"not seen: {Seen.TOLD}"),
        (case(Kind.EXPIRED, (FAILED, "request_expired")), "Failed (request_expired)"),
        (Case(REQUESTS[Kind.EXPIRED], refusal="401 caller-unknown"), "refused at once (401 caller-unknown)"),
        (Case(REQUESTS[Kind.ORDINARY], refusal="422 invalid-request"), "refused at once (422 invalid-request)"),
    ],
)
def test_surprise_is_told_when_a_request_ends_otherwise(bad: Case, surprise: str) -> None:
    assert bad.surprise == surprise


def test_trouble_of_the_customer_is_a_surprise_whatever_the_end() -> None:
    troubled = case(Kind.ORDINARY, COMPLETED)
    troubled.trouble = "no answer"
    assert troubled.surprise == "no answer"
