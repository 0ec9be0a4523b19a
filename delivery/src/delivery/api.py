"""Deliveries over HTTP: views for owner and public, confirmations, notify-me requests, summary, telemetry intake.

The caller is the header `X-Subject`; a caller with the role `fleet` in `X-Roles` is a dispatcher, who sees every
delivery, confirms on the recipient's behalf and reports telemetry. A gateway sets both from the caller's token.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BeforeValidator

from delivery import queries, summary
from delivery.bodies import ConfirmationBody, NotifyMeBody, StorableText, TelemetryBody
from delivery.commands import AskToBeNotified, ConfirmHandover, ReportTelemetry, StopNotifying, Viewer
from delivery.domain.delivery import Delivery
from delivery.domain.notifying import NotifyMeRequest, request_id_of
from delivery.problems import delivery_not_found, notify_me_request_not_found
from delivery.queries import DeliveryFilter, InvalidCursor
from delivery.summary import Span
from delivery.views import (
    ConfirmationsView,
    ConfirmationView,
    DeliveriesView,
    DeliveryView,
    MonthView,
    NotifyMeRequestsView,
    NotifyMeRequestView,
    OwnerView,
    PublicView,
    StatusView,
    SummaryView,
    TelemetryAccepted,
    TrackingEventView,
    TrackingHistoryView,
)
from shared_contracts.domain_types import DeliveryStage
from shared_runtime import Problem
from shared_runtime.http import Caller, ReadSession, Roles, execute, json_body, require_role

FLEET = "fleet"
SUMMARY_MONTHS = 12

Responses = dict[int | str, dict[str, Any]]

OTHERS_REFUSED: Responses = {403: {"description": f"Deliveries of others need the role {FLEET}"}}
UNKNOWN: Responses = {404: {"description": "The caller may see no such delivery"}}
WISH_UNKNOWN: Responses = {404: {"description": "The caller may see no such delivery, or it has no such request"}}
CONFIRMED: Responses = {
    200: {"model": ConfirmationView, "description": "It was confirmed before"},
    409: {"description": "The drone is not at the drop-off, the deadline is past, or the delivery has ended"},
    422: {"description": "The delivery is to be confirmed in another way"},
}
WISH_NOTED: Responses = {
    200: {"model": NotifyMeRequestView, "description": "The same was asked for before"},
    409: {"description": "The delivery has ended, or has too many such requests"},
}

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])


async def _viewer(caller: Caller, roles: Roles) -> Viewer:
    return Viewer(caller, is_fleet=FLEET in roles)


Asking = Annotated[Viewer, Depends(_viewer)]


async def _visible(delivery_id: UUID, viewer: Asking, session: ReadSession) -> Delivery:
    delivery = await queries.delivery_by_id(session, delivery_id)
    if delivery is None or not viewer.may_see(delivery.owner_id):
        raise delivery_not_found(delivery_id)
    return delivery


Visible = Annotated[Delivery, Depends(_visible)]
"""The delivery of the path, which the caller may see; 404 otherwise."""

Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=512)]
"""Where a page begins: `next` of the page before."""


def _split_commas(given: Any) -> Any:
    return [name for one in given for name in str(one).split(",")] if isinstance(given, list) else given


def _month(given: Any) -> Any:
    if isinstance(given, str):
        if re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", given) is None:
            raise ValueError("a month is written as in 2026-03")
        return datetime(int(given[:4]), int(given[5:]), 1, tzinfo=UTC)
    return given


Stages = Annotated[list[DeliveryStage] | None, BeforeValidator(_split_commas), Query()]
"""Names of stages, separated by commas."""
Month = Annotated[datetime | None, BeforeValidator(_month), Query()]
"""As in `2026-03`, in UTC."""
Owner = Annotated[StorableText | None, Query(max_length=128)]


@router.get("", responses=OTHERS_REFUSED)
async def list_deliveries(
    viewer: Asking,
    session: ReadSession,
    *,
    stage: Stages = None,
    drone_id: UUID | None = None,
    owner_id: Owner = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DeliveriesView:
    """The caller's deliveries, or with the role `fleet` everybody's, the longest known first."""
    wanted = DeliveryFilter(
        owner_id=_whose(viewer, owner_id), stages=frozenset(stage) if stage else None, drone_id=drone_id
    )
    try:
        page = await queries.deliveries(session, wanted, cursor=cursor, limit=limit)
    except InvalidCursor:
        raise _invalid_cursor() from None
    now = datetime.now(UTC)
    return DeliveriesView(deliveries=[DeliveryView.of(one, now) for one in page.deliveries], next=page.next)


@router.get("/summary", responses=OTHERS_REFUSED)
async def summarize_deliveries(
    viewer: Asking,
    session: ReadSession,
    *,
    since: Month = None,
    until: Month = None,
    owner_id: Owner = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> SummaryView:
    """How many deliveries are in each stage and how many were on time, by month and owner.

    From month `since` to month `until`, both included; the last twelve months unless told otherwise. `cursor` and
    `limit` page through the months; the totals are always those of all.
    """
    before = _next_month(until or datetime.now(UTC))
    span = Span(_whose(viewer, owner_id), since or before.replace(year=before.year - 1), before)
    if span.since >= span.until:
        raise Problem(422, "invalid-request", "since is after until")
    total = await summary.total(session, span)
    try:
        page, following = await summary.months(session, span, cursor=cursor, limit=limit)
    except InvalidCursor:
        raise _invalid_cursor() from None
    return SummaryView(
        stages=total.stages,
        on_time_share=total.on_time_share,
        distance_flown_m=total.distance_flown_m,
        months=[
            MonthView(
                owner_id=one.owner_id,
                month=one.month,
                stages=one.tally.stages,
                on_time_share=one.tally.on_time_share,
                distance_flown_m=one.tally.distance_flown_m,
            )
            for one in page
        ],
        next=following,
    )


@router.post("/telemetry", status_code=202, dependencies=[Depends(require_role(FLEET))])
async def report_telemetry(
    body: Annotated[TelemetryBody, json_body(TelemetryBody)], request: Request
) -> TelemetryAccepted:
    """Take one report or up to 500, put them on the topic of drone telemetry, in their order per drone.

    202: they are stored and will be published. This service hears of them there, as everybody else does.
    """
    reports = body if isinstance(body, list) else [body]
    await execute(request, ReportTelemetry(tuple(report.to_message() for report in reports)))
    return TelemetryAccepted(accepted=len(reports))


@router.get("/{delivery_id}", responses=UNKNOWN)
async def show_delivery(delivery: Visible) -> DeliveryView:
    """Everything that is known of a delivery."""
    return DeliveryView.of(delivery, datetime.now(UTC))


@router.get("/{delivery_id}/public", responses={404: {"description": "There is no such delivery"}})
async def show_public_view(delivery_id: UUID, session: ReadSession) -> PublicView:
    """What anybody may know who has the id. It needs no caller."""
    delivery = await queries.delivery_by_id(session, delivery_id)
    if delivery is None:
        raise Problem(404, "delivery-not-found", f"there is no delivery {delivery_id}")
    return PublicView.of(delivery, datetime.now(UTC))


@router.get("/{delivery_id}/owner", responses=UNKNOWN)
async def show_owner(delivery: Visible, session: ReadSession) -> OwnerView:
    """Whose delivery it is."""
    known, under_way = await queries.count_of_owner(session, delivery.owner_id)
    return OwnerView(
        delivery_id=delivery.delivery_id, owner_id=delivery.owner_id, deliveries=known, under_way=under_way
    )


@router.get("/{delivery_id}/status", responses=UNKNOWN)
async def show_status(delivery: Visible) -> StatusView:
    """Stage, last known location and estimated times of arrival."""
    return StatusView.of(delivery, datetime.now(UTC))


@router.get("/{delivery_id}/events", responses=UNKNOWN)
async def show_tracking_events(
    delivery: Visible,
    session: ReadSession,
    cursor: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Limit = 100,
) -> TrackingHistoryView:
    """The delivery's history, the oldest event first."""
    events, following = await queries.tracking_events(session, delivery.delivery_id, after=cursor, limit=limit)
    return TrackingHistoryView(events=[TrackingEventView.of(event) for event in events], next=following)


@router.get("/{delivery_id}/confirmations", responses=UNKNOWN)
async def show_confirmations(delivery: Visible) -> ConfirmationsView:
    """How the handover is to be confirmed, and how it was."""
    return ConfirmationsView.of(delivery)


@router.post("/{delivery_id}/confirmations", status_code=201, responses=CONFIRMED | UNKNOWN)
async def confirm_handover(
    delivery_id: UUID,
    viewer: Asking,
    body: Annotated[ConfirmationBody, json_body(ConfirmationBody)],
    request: Request,
    response: Response,
) -> ConfirmationView:
    """Confirm the handover, which completes the delivery. 200 when it was confirmed before."""
    command = ConfirmHandover(viewer, delivery_id, body.type, body.location, body.reference)
    delivery, is_new = await execute(request, command)
    response.status_code = 201 if is_new else 200
    return ConfirmationsView.of(delivery).confirmations[0]


@router.get("/{delivery_id}/notifymerequests", responses=UNKNOWN)
async def show_notify_me_requests(delivery: Visible, session: ReadSession) -> NotifyMeRequestsView:
    """Who is to be told of what."""
    return NotifyMeRequestsView.of(await queries.notify_me_requests(session, delivery.delivery_id))


@router.post("/{delivery_id}/notifymerequests", status_code=201, responses=WISH_NOTED | UNKNOWN)
async def ask_to_be_notified(
    delivery_id: UUID,
    viewer: Asking,
    body: Annotated[NotifyMeBody, json_body(NotifyMeBody)],
    request: Request,
    response: Response,
) -> NotifyMeRequestView:
    """Ask to be told when the delivery enters these stages. 200 when the same was asked for before."""
    request_id = request_id_of(delivery_id, body.channel, body.stages)
    command = AskToBeNotified(viewer, delivery_id, request_id, body.channel, tuple(body.stages))
    wish: NotifyMeRequest
    wish, is_new = await execute(request, command)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"{router.prefix}/{delivery_id}/notifymerequests/{wish.request_id}"
    return NotifyMeRequestView.of(wish)


@router.get("/{delivery_id}/notifymerequests/{request_id}", responses=WISH_UNKNOWN)
async def show_notify_me_request(delivery: Visible, request_id: UUID, session: ReadSession) -> NotifyMeRequestView:
    """One wish to be told."""
    for wish in await queries.notify_me_requests(session, delivery.delivery_id):
        if wish.request_id == request_id:
            return NotifyMeRequestView.of(wish)
    raise notify_me_request_not_found()


@router.delete("/{delivery_id}/notifymerequests/{request_id}", status_code=204, responses=WISH_UNKNOWN)
async def stop_notifying(delivery_id: UUID, request_id: UUID, viewer: Asking, request: Request) -> None:
    """Take a wish back."""
    await execute(request, StopNotifying(viewer, delivery_id, request_id))


def _whose(viewer: Viewer, owner_id: str | None) -> str | None:
    """Whose deliveries are to be read, None for everybody's. Raises Problem (403) for those of others."""
    if viewer.is_fleet:
        return owner_id
    if owner_id not in {None, viewer.subject}:
        raise Problem(403, "role-missing", f"deliveries of others need the role {FLEET}")
    return viewer.subject


def _next_month(moment: datetime) -> datetime:
    first = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first.replace(year=first.year + 1, month=1) if first.month == 12 else first.replace(month=first.month + 1)


def _invalid_cursor() -> Problem:
    return Problem(422, "invalid-cursor", "the cursor is none that this service gave out")
