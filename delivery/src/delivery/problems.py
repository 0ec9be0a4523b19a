"""Why a request is refused, as HTTP clients are told."""

from typing import assert_never
from uuid import UUID

from delivery.domain.delivery import Delivery
from delivery.domain.flying import ConfirmationRefusal
from delivery.domain.notifying import NotificationRefusal
from shared_runtime import Problem


def delivery_not_found(delivery_id: UUID) -> Problem:
    return Problem(404, "delivery-not-found", f"there is no delivery {delivery_id} among yours")


def notify_me_request_not_found() -> Problem:
    return Problem(404, "notifyme-request-not-found", "the delivery has no such notify-me request")


def confirmation_problem(refusal: ConfirmationRefusal, delivery: Delivery) -> Problem:
    """What the client is told when a confirmation is refused."""
    match refusal:
        case ConfirmationRefusal.WRONG_TYPE:
            return Problem(
                422,
                "wrong-confirmation-type",
                f"this delivery is to be confirmed by {delivery.confirmation_required}",
                required=delivery.confirmation_required,
            )
        case ConfirmationRefusal.NOT_AT_DROPOFF:
            return Problem(409, "drone-not-at-dropoff", "the drone is not at the drop-off yet", stage=delivery.stage)
        case ConfirmationRefusal.DEADLINE_PASSED:
            return Problem(409, "deadline-passed", "the package was not handed over before the deadline")
        case ConfirmationRefusal.ALREADY_ENDED:
            return already_ended(delivery)
        case _:
            assert_never(refusal)


def notification_problem(refusal: NotificationRefusal, delivery: Delivery) -> Problem:
    """What the client is told when a wish to be told is refused."""
    match refusal:
        case NotificationRefusal.ALREADY_ENDED:
            return already_ended(delivery)
        case NotificationRefusal.TOO_MANY:
            return Problem(409, "too-many-notifyme-requests", "withdraw one of the requests first")
        case _:
            assert_never(refusal)


def already_ended(delivery: Delivery) -> Problem:
    return Problem(409, "delivery-already-ended", f"the delivery is {delivery.stage}", stage=delivery.stage)
