"""Who asked to be told of which stages."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared_contracts.delivery.v1 import NotificationChannel, NotificationRequested
from shared_contracts.domain_types import DeliveryStage

from delivery.domain.delivery import Outcome, TrackingEventKind


@dataclass(frozen=True)
class NotifyMeRequest:
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
