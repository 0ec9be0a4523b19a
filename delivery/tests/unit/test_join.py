"""PackageReady and DroneScheduled meet, in whichever order they come."""

from delivery_stories import (
    ANNA,
    DEADLINE,
    DRONE_ID,
    NOON,
    NOTHING_YET,
    OTHER_DRONE_ID,
    RULES,
    cancelled,
    completed,
    drone_scheduled,
    failed,
    headed_to_dropoff,
    minutes,
    no_outcome,
    package_ready,
    scheduled,
    seconds,
    story_of,
)

from shared_contracts.delivery.v1 import DeliveryFailed, DeliveryFailureReason, DeliveryScheduled
from shared_contracts.domain_types import ConfirmationType, DeliveryStage, PackageSize


def test_scheduled_when_the_package_answers_first() -> None:
    story = story_of([package_ready(), drone_scheduled()])
    assert story.told == ["DeliveryScheduled"]
    assert story.delivery.stage is DeliveryStage.CREATED


def test_scheduled_when_the_drone_answers_first() -> None:
    story = story_of([drone_scheduled(), package_ready()])
    assert story.told == ["DeliveryScheduled"]
    assert story.delivery == story_of([package_ready(), drone_scheduled()]).delivery


def test_the_fact_names_drone_owner_and_times() -> None:
    fact = scheduled().last
    assert isinstance(fact, DeliveryScheduled)
    assert (fact.owner_id, fact.drone_id, fact.occurred_at) == (ANNA, DRONE_ID, NOON)
    assert NOON < fact.pickup_eta < fact.dropoff_eta < DEADLINE


def test_both_answers_are_kept() -> None:
    delivery = scheduled().delivery
    assert delivery.package_size is PackageSize.SMALL
    assert delivery.package_weight_kg == 1.5
    assert delivery.confirmation_required is ConfirmationType.PICTURE
    assert delivery.scheduled_at == NOON
    assert delivery.plan is not None
    assert delivery.plan.drone_id == DRONE_ID


def test_nothing_is_told_when_only_one_has_answered() -> None:
    for answer in (package_ready(), drone_scheduled()):
        story = story_of([answer])
        assert story.told == []
        assert story.delivery.stage is DeliveryStage.PENDING


def test_duplicate_answers_change_nothing() -> None:
    story = story_of([package_ready(), package_ready(), drone_scheduled(), drone_scheduled(), package_ready()])
    assert story == scheduled()


def test_first_drone_stays_when_another_is_told_of() -> None:
    assert scheduled().hears(drone_scheduled(drone_id=OTHER_DRONE_ID)) == scheduled()


def test_answers_change_nothing_when_the_drone_flies_or_the_delivery_has_ended() -> None:
    for story in (headed_to_dropoff(), completed(), cancelled(), failed()):
        assert story.hears(package_ready(), drone_scheduled(), at=DEADLINE) == story


def test_waits_for_the_drone_until_after_the_deadline_when_the_package_is_there() -> None:
    delivery = story_of([package_ready()]).delivery
    assert delivery.due_at == DEADLINE + RULES.drone_answer_grace


def test_holds_a_drone_only_for_a_while_when_the_package_is_missing() -> None:
    assert story_of([drone_scheduled()]).delivery.due_at == NOON + RULES.package_answer_timeout
    soon = NOON + minutes(1)
    assert story_of([drone_scheduled(deadline=soon)]).delivery.due_at == soon


def test_waits_for_the_handover_until_the_deadline_when_scheduled() -> None:
    assert scheduled().delivery.due_at == DEADLINE


def test_failed_when_the_drone_never_answers() -> None:
    story = story_of([package_ready()]).waits_until(DEADLINE + RULES.drone_answer_grace)
    assert story.told == ["DeliveryFailed"]
    assert story.last.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME
    assert story.last.flight is None


def test_failed_when_the_package_never_answers() -> None:
    story = story_of([drone_scheduled()]).waits_until(NOON + RULES.package_answer_timeout)
    assert story.last.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME


def test_failed_when_the_second_answer_comes_after_the_deadline() -> None:
    for answers in ([package_ready(), drone_scheduled()], [drone_scheduled(), package_ready()]):
        story = story_of(answers, at=DEADLINE)
        assert story.told == ["DeliveryFailed"]
        assert story.last.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME


def test_nothing_happens_when_it_is_looked_at_too_early_or_after_its_end() -> None:
    assert scheduled().waits_until(DEADLINE - seconds(1)) == scheduled()
    assert failed().waits_until(DEADLINE + minutes(1)) == failed()
    assert failed().delivery.due_at is None


def test_failed_when_nothing_was_heard_until_ingestion_asks() -> None:
    story = NOTHING_YET.hears(no_outcome())
    assert isinstance(story.last, DeliveryFailed)
    assert story.last.reason is DeliveryFailureReason.NOT_SCHEDULED_IN_TIME
    assert story.hears(package_ready(), drone_scheduled()) == story


def test_history_has_one_line_per_stage() -> None:
    (line,) = scheduled().tracking
    assert (line.sequence, line.stage, line.occurred_at) == (1, DeliveryStage.CREATED, NOON)
