"""Ingestion keeps time too: an accepted request without an outcome is asked after until it has one."""

from datetime import datetime, timedelta

import pytest

from ingestion.domain import limits
from ingestion.domain.progress import DeliveryProgress, decide_inquiry, inquiry_pause
from shared_contracts.domain_types import TERMINAL_STAGES, DeliveryStage
from shared_contracts.ingestion.v1 import CancellationReason, DeliveryCancellationRequested

from .examples import DELIVERY, OWNER, at_stage, pending


def due_at(progress: DeliveryProgress) -> datetime:
    assert progress.due_at is not None
    return progress.due_at


def test_delivery_is_asked_to_end_when_no_outcome_was_heard_in_time() -> None:
    progress, message = decide_inquiry(pending(), now=due_at(pending()))

    assert message == DeliveryCancellationRequested(
        delivery_id=DELIVERY, owner_id=OWNER, reason=CancellationReason.NO_OUTCOME_IN_TIME
    )
    assert progress.outcome_inquiries == 1
    assert due_at(progress) == due_at(pending()) + limits.INQUIRY_PAUSE_FIRST


def test_inquiries_are_repeated_with_a_growing_pause_when_nothing_is_heard() -> None:
    progress, pauses = pending(), []
    for _ in range(9):
        asked_at = due_at(progress)
        progress, message = decide_inquiry(progress, now=asked_at)
        assert message is not None
        pauses.append((due_at(progress) - asked_at) / timedelta(minutes=1))

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_pause_is_bounded_when_nothing_is_heard_for_years() -> None:
    assert inquiry_pause(1_000_000) == limits.INQUIRY_PAUSE_MAX


def test_stage_is_not_touched_when_asked_because_delivery_alone_ends_a_delivery() -> None:
    progress, _ = decide_inquiry(at_stage(DeliveryStage.HEADED_TO_DROPOFF), now=due_at(pending()))

    assert progress.stage is DeliveryStage.HEADED_TO_DROPOFF


@pytest.mark.parametrize("stage", sorted(TERMINAL_STAGES))
def test_nothing_is_asked_when_the_delivery_has_ended(stage: DeliveryStage) -> None:
    progress, message = decide_inquiry(at_stage(stage), now=due_at(pending()))

    assert (progress.due_at, message) == (None, None)
