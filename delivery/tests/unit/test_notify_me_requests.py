from delivery_stories import ANNA, DELIVERY_ID, NOON, cancelled, completed, failed, scheduled
from msgspec.structs import replace

from delivery.domain.notifying import (
    MAX_REQUESTS_PER_DELIVERY,
    NotificationRefusal,
    NotifyMeRequest,
    decide_notify_me_request,
    request_id_of,
)
from shared_contracts.delivery.v1 import NotificationChannel
from shared_contracts.domain_types import DeliveryStage

STAGES = (DeliveryStage.COMPLETED, DeliveryStage.FAILED)
WISH = NotifyMeRequest(
    request_id=request_id_of(DELIVERY_ID, NotificationChannel.EMAIL, STAGES),
    delivery_id=DELIVERY_ID,
    owner_id=ANNA,
    channel=NotificationChannel.EMAIL,
    stages=",".join(STAGES),
    created_at=NOON,
)


def test_the_wish_stands_when_it_is_new_or_was_withdrawn() -> None:
    withdrawn = replace(WISH, withdrawn_at=NOON)
    for earlier in (None, withdrawn):
        assert decide_notify_me_request(scheduled().delivery, WISH, earlier, 0) == WISH


def test_nothing_changes_when_it_stands_already() -> None:
    assert decide_notify_me_request(scheduled().delivery, WISH, WISH, MAX_REQUESTS_PER_DELIVERY) is None


def test_refused_when_the_delivery_has_ended() -> None:
    for story in (completed(), cancelled(), failed()):
        assert decide_notify_me_request(story.delivery, WISH, None, 0) is NotificationRefusal.ALREADY_ENDED


def test_refused_when_there_are_too_many() -> None:
    refused = decide_notify_me_request(scheduled().delivery, WISH, None, MAX_REQUESTS_PER_DELIVERY)
    assert refused is NotificationRefusal.TOO_MANY


def test_one_wish_has_one_id_whatever_the_order_of_its_stages() -> None:
    assert request_id_of(DELIVERY_ID, NotificationChannel.EMAIL, reversed(STAGES * 2)) == WISH.request_id
    assert request_id_of(DELIVERY_ID, NotificationChannel.SMS, STAGES) != WISH.request_id
