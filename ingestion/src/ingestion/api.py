"""The HTTP interface. A change is one command, answered when it is durable; what comes of it is told by the status."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from typing import Annotated, Any, TypeVar, assert_never
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from sqlmodel import SQLModel, col, select

from ingestion.domain import limits
from ingestion.domain.commands import CancelDelivery, Command, Refusal, RefusalKind, RescheduleDelivery, SubmitDelivery
from ingestion.domain.progress import Cancellation, DeliveryProgress, DeliveryRequest, Reschedule
from ingestion.idempotency import REPLAYED_HEADER, idempotency_of
from ingestion.openapi import ACCEPTED, IDEMPOTENCY_KEY, KEY_REFUSED, LISTED, NOT_CHANGEABLE, TOLD, UNKNOWN
from ingestion.representations import (
    STATUS_PATH,
    DeliveryPage,
    DeliveryStatus,
    NewDelivery,
    Times,
    accepted_delivery,
    delivery_status,
    status_url,
)
from ingestion.tables import CancellationRow, DeliveryProgressRow, DeliveryRequestRow, RescheduleRow
from shared_runtime import Problem
from shared_runtime.envelope import new_id
from shared_runtime.http import Caller, DirectRoute, ReadSession, execute, json_body

router = APIRouter(prefix=STATUS_PATH, tags=["delivery requests"])
# What customers send most, and all at the same time.
intake = APIRouter(prefix=STATUS_PATH, tags=["delivery requests"], route_class=DirectRoute)
routers = [intake, router]

State = TypeVar("State", bound=Struct)

JSON = "application/json"
RETRY_AFTER = {"Retry-After": str(limits.POLL_AFTER_S)}


@intake.post(
    "",
    status_code=202,
    responses=ACCEPTED | KEY_REFUSED,
    openapi_extra=IDEMPOTENCY_KEY,
)
async def submit(request: Request, caller: Caller, body: Annotated[NewDelivery, json_body(NewDelivery)]) -> Response:
    """Ask for a delivery. 202 means that the request is stored and will be dealt with, whatever happens."""
    command = SubmitDelivery(
        delivery_id=new_id(),
        owner_id=caller,
        pickup=body.pickup,
        dropoff=body.dropoff,
        pickup_time=body.pickup_time,
        deadline=body.deadline,
        expedited=body.expedited,
        confirmation_required=body.confirmation_required,
        package=body.package,
        idempotency=idempotency_of(request.headers, caller, "POST", body),
    )
    return await answer_to(request, command)


@router.patch(
    "/{delivery_id}",
    status_code=202,
    responses=ACCEPTED | UNKNOWN | NOT_CHANGEABLE | KEY_REFUSED,
    openapi_extra=IDEMPOTENCY_KEY,
)
async def reschedule(
    delivery_id: UUID, request: Request, caller: Caller, body: Annotated[Times, json_body(Times)]
) -> Response:
    """Ask for other times. The status tells whether they were accepted or refused, and why."""
    command = RescheduleDelivery(
        delivery_id=delivery_id,
        owner_id=caller,
        pickup_time=body.pickup_time,
        deadline=body.deadline,
        idempotency=idempotency_of(request.headers, caller, f"PATCH {delivery_id}", body),
    )
    return await answer_to(request, command)


@router.delete(
    "/{delivery_id}",
    status_code=202,
    responses=ACCEPTED | UNKNOWN | NOT_CHANGEABLE | KEY_REFUSED,
    openapi_extra=IDEMPOTENCY_KEY,
)
async def cancel(delivery_id: UUID, request: Request, caller: Caller) -> Response:
    """Ask that the delivery be cancelled. The status tells whether it came in time."""
    idempotency = idempotency_of(request.headers, caller, f"DELETE {delivery_id}")
    return await answer_to(request, CancelDelivery(delivery_id, caller, idempotency))


@router.get("/{delivery_id}", response_model=DeliveryStatus, responses=TOLD | UNKNOWN)
async def show(delivery_id: UUID, caller: Caller, session: ReadSession) -> Response:
    """Tell one of the caller's requests, and what became of it."""
    found = (await session.exec(_told(caller).where(col(DeliveryRequestRow.delivery_id) == delivery_id))).first()
    if found is None:
        raise unknown_delivery()
    status = status_of(*found)
    return Response(status.model_dump_json(), media_type=JSON, headers=None if status.is_ended else RETRY_AFTER)


@router.get("", response_model=DeliveryPage, responses=LISTED)
async def browse(
    caller: Caller,
    session: ReadSession,
    limit: Annotated[int, Query(ge=1, le=limits.PAGE_SIZE_MAX)] = limits.PAGE_SIZE_DEFAULT,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Tell the caller's requests, newest first."""
    query = _told(caller).order_by(col(DeliveryRequestRow.delivery_id).desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(col(DeliveryRequestRow.delivery_id) < _delivery_at(cursor))
    found = (await session.exec(query)).all()
    items = [status_of(*rows) for rows in found[:limit]]
    next_cursor = _cursor_at(items[-1].delivery_id) if len(found) > limit else None
    return Response(DeliveryPage(items=items, next_cursor=next_cursor).model_dump_json(), media_type=JSON)


async def answer_to(request: Request, command: Command) -> Response:
    """Hand the command over and tell what was decided, once that is durable."""
    outcome = await execute(request, command)
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    headers = {"Location": status_url(outcome.delivery_id)} | RETRY_AFTER
    if outcome.is_replay:
        headers[REPLAYED_HEADER] = "true"
    return Response(accepted_delivery(outcome).model_dump_json(), 202, headers, JSON)


def problem_of(refusal: Refusal) -> Exception:
    """What the caller is told about a command that has no effect."""
    match refusal.kind:
        case RefusalKind.INVALID:
            return RequestValidationError(
                [{"type": one.code, "loc": ("body", one.field), "msg": one.message} for one in refusal.errors]
            )
        case RefusalKind.KEY_REUSED:
            return Problem(422, "idempotency-key-reused", "the idempotency key was used for another request")
        case RefusalKind.UNKNOWN_DELIVERY:
            return unknown_delivery()
        case RefusalKind.DELIVERY_ENDED:
            return Problem(409, "delivery-ended", f"the delivery is {refusal.stage} already", stage=refusal.stage)
        case RefusalKind.CANCELLATION_PENDING:
            return Problem(409, "cancellation-pending", "the delivery is about to be cancelled")
        case unknown:
            assert_never(unknown)


def unknown_delivery() -> Problem:
    return Problem(404, "delivery-request-unknown", "you have no such delivery request")


def _told(caller: str) -> Any:
    """All that is told of the caller's requests, in one query."""
    request_id = col(DeliveryRequestRow.delivery_id)
    return (
        select(DeliveryRequestRow, DeliveryProgressRow, CancellationRow, RescheduleRow)
        .join(DeliveryProgressRow, col(DeliveryProgressRow.delivery_id) == request_id)
        .outerjoin(CancellationRow, col(CancellationRow.delivery_id) == request_id)
        .outerjoin(RescheduleRow, col(RescheduleRow.delivery_id) == request_id)
        .where(col(DeliveryRequestRow.owner_id) == caller)
    )


def status_of(
    request: DeliveryRequestRow,
    progress: DeliveryProgressRow,
    cancellation: CancellationRow | None,
    reschedule: RescheduleRow | None,
) -> DeliveryStatus:
    """The status that the rows of one delivery tell."""
    return delivery_status(
        _state_of(DeliveryRequest, request),
        _state_of(DeliveryProgress, progress),
        None if cancellation is None else _state_of(Cancellation, cancellation),
        None if reschedule is None else _state_of(Reschedule, reschedule),
    )


def _state_of(state: type[State], row: SQLModel) -> State:
    return state(**{name: getattr(row, name) for name in state.__struct_fields__})


def _cursor_at(delivery_id: UUID) -> str:
    return urlsafe_b64encode(delivery_id.bytes).decode().rstrip("=")


def _delivery_at(cursor: str) -> UUID:
    try:
        return UUID(bytes=urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (NotBase64, ValueError):
        message = "must be `next_cursor` of an earlier page"
        raise RequestValidationError([{"type": "cursor", "loc": ("query", "cursor"), "msg": message}]) from None
