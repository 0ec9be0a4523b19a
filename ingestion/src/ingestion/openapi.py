"""What FastAPI cannot read off the routes, because they make their answers themselves."""

from typing import Any

from ingestion.domain import limits
from ingestion.idempotency import HEADER, REPLAYED_HEADER
from ingestion.representations import EXAMPLE_ID, STATUS_PATH, AcceptedDelivery, DeliveryPage, DeliveryStatus

Responses = dict[int | str, dict[str, Any]]


UNKNOWN: Responses = {404: {"description": "The caller has no such request"}}
NOT_CHANGEABLE: Responses = {409: {"description": "The delivery has ended, or is about to be cancelled"}}
KEY_REFUSED: Responses = {
    400: {"description": "The idempotency key is not valid"},
    422: {"description": "The idempotency key was used for another request"},
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": (
                "Makes it safe to send the request again. The same key with the same request gets the same answer for "
                f"{limits.IDEMPOTENCY_KEY_LIFETIME.total_seconds() / 3600:.0f} hours, and the effect happens once; "
                "with another request it is refused with 422. Keys of different callers are apart."
            ),
            "schema": {"type": "string", "minLength": 1, "maxLength": limits.IDEMPOTENCY_KEY_LENGTH_MAX},
            "example": '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
        }
    ]
}

_RETRY_AFTER = {"description": "Seconds to wait before asking for the status", "schema": {"type": "integer"}}

ACCEPTED: Responses = {
    202: {
        "model": AcceptedDelivery,
        "description": "Stored; `Location` tells what comes of it",
        "headers": {
            "Location": {
                "description": "The status of the delivery",
                "schema": {"type": "string", "examples": [f"{STATUS_PATH}/{EXAMPLE_ID}"]},
            },
            "Retry-After": _RETRY_AFTER,
            REPLAYED_HEADER: {
                "description": "`true` when this is the answer to an earlier request with the same idempotency key",
                "schema": {"type": "string"},
            },
        },
    }
}
TOLD: Responses = {
    200: {
        "model": DeliveryStatus,
        "description": "The request, and what became of it",
        "headers": {"Retry-After": {**_RETRY_AFTER, "description": "Seconds; absent when the delivery has ended"}},
    }
}
LISTED: Responses = {200: {"model": DeliveryPage, "description": "The caller's requests, newest first"}}
