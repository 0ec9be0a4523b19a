from uuid import UUID

from delivery_stories import (
    ANNA,
    DELIVERY_ID,
    NOON,
    RULES,
    drone_scheduled,
    landed,
    minutes,
    package_ready,
    reschedule,
    scheduled,
    story_of,
)
from msgspec.structs import replace

from delivery.domain.delivery import Outcome
from delivery.domain.flying import decide_telemetry
from delivery.domain.notifying import NotifyMeRequest, decide_notifications
from delivery.domain.scheduling import decide_drone_scheduled, decide_reschedule
from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import ConfirmationType, DeliveryStage

REQUEST_ID = UUID("01957c00-0000-7000-8000-00000000e001")


def wish(*stages: DeliveryStage) -> NotifyMeRequest:
    return NotifyMeRequest(
        request_id=REQUEST_ID,
        delivery_id=DELIVERY_ID,
        owner_id=ANNA,
        channel=NotificationChannel.SMS,
        stages=",".join(stages),
        created_at=NOON,
    )


def everything_at_once() -> Outcome:
    """Only the landing of a delivery that nobody has to confirm is seen."""
    outcome = decide_telemetry(scheduled(ConfirmationType.NONE).delivery, landed(), now=NOON + minutes(10), rules=RULES)
    assert outcome is not None
    return outcome


def test_one_notification_per_stage_asked_for() -> None:
    asked = wish(DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.COMPLETED, DeliveryStage.CANCELLED)
    notifications = decide_notifications(everything_at_once(), [asked])
    assert [one.stage for one in notifications] == [DeliveryStage.HEADED_TO_PICKUP, DeliveryStage.COMPLETED]
    assert {(one.request_id, one.channel, one.owner_id) for one in notifications} == {
        (REQUEST_ID, NotificationChannel.SMS, ANNA)
    }


def test_none_when_the_stage_was_not_asked_for_or_the_wish_withdrawn() -> None:
    assert decide_notifications(everything_at_once(), [wish(DeliveryStage.FAILED)]) == []
    withdrawn = wish(DeliveryStage.COMPLETED)
    withdrawn = replace(withdrawn, withdrawn_at=NOON)
    assert decide_notifications(everything_at_once(), [withdrawn]) == []


def test_none_when_the_outcome_enters_no_stage() -> None:
    refused = decide_reschedule(scheduled().delivery, reschedule(NOON, NOON), now=NOON, rules=RULES)
    assert refused is not None
    assert decide_notifications(refused, [wish(*DeliveryStage)]) == []


def test_both_stages_are_told_when_a_kept_reschedule_takes_effect_at_the_join() -> None:
    waiting = story_of([package_ready(), reschedule()]).delivery
    joined = decide_drone_scheduled(waiting, drone_scheduled(), now=NOON, rules=RULES)
    assert joined is not None
    notifications = decide_notifications(joined, [wish(*DeliveryStage)])
    assert [one.stage for one in notifications] == [DeliveryStage.CREATED, DeliveryStage.RESCHEDULED]
