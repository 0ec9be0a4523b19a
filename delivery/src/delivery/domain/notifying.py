"""Who asked to be told of which stages."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

from msgspec import Struct

from delivery.domain.delivery import Delivery, Outcome, TrackingEventKind
from shared_contracts.delivery.v1 import NotificationChannel, NotificationRequested
from shared_contracts.domain_types import DeliveryStage

MAX_REQUESTS_PER_DELIVERY = 20


class NotifyMeRequest(Struct, frozen=True):
    """An owner's wish to be told, on one channel, whenever the delivery enters one of these stages."""

    request_id: UUID
    delivery_id: UUID
    owner_id: str
    channel: NotificationChannel
    stages: str
    """Names of stages, separated by commas."""
    created_at: datetime
    withdrawn_at: datetime | None = None

    @property
    def stage_set(self) -> frozenset[DeliveryStage]:
        return frozenset(DeliveryStage(name) for name in self.stages.split(",") if name)


class NotificationRefusal(StrEnum):
    ALREADY_ENDED = "already_ended"
    TOO_MANY = "too_many"


def request_id_of(delivery_id: UUID, channel: NotificationChannel, stages: Iterable[DeliveryStage]) -> UUID:
    """The id of such a request: the same wish, made twice, is one request."""
    return uuid5(delivery_id, f"{channel}:{','.join(sorted(set(stages)))}")


def decide_notify_me_request(
    delivery: Delivery, wish: NotifyMeRequest, earlier: NotifyMeRequest | None, standing: int
) -> NotifyMeRequest | NotificationRefusal | None:
    """The wish, why it is refused, or None when it stands already.

    `earlier` is the request of the same id, which may have been withdrawn, `standing` the number of the delivery's
    requests. Only stages that the delivery enters from now on are told of.
    """
    if delivery.stage.is_terminal:
        return NotificationRefusal.ALREADY_ENDED
    if earlier is not None and earlier.withdrawn_at is None:
        return None
    return wish if standing < MAX_REQUESTS_PER_DELIVERY else NotificationRefusal.TOO_MANY


def decide_notifications(outcome: Outcome, requests: Iterable[NotifyMeRequest]) -> list[NotificationRequested]:
    """One notification per request and stage that the outcome has entered, in the order of the stages."""
    standing = [request for request in requests if request.withdrawn_at is None]
    return [
        NotificationRequested(
            delivery_id=event.delivery_id,
            owner_id=request.owner_id,
            occurred_at=event.occurred_at,
            request_id=request.request_id,
            channel=request.channel,
            stage=event.stage,
        )
        for event in outcome.tracking
        if event.kind is TrackingEventKind.STAGE_ENTERED
        for request in standing
        if event.stage in request.stage_set
    ]
