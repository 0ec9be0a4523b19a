"""A machine that finds nothing proves nothing: with one rule broken at a time, it has to say so, in a story to read."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace
from rehearsal.actor import Actor
from rehearsal.machine import STEP_COUNT, Choreography

import delivery.consumers as delivery_consumers
import drone_scheduler.consumers as scheduler_consumers
import package_service.consumers as package_consumers
from delivery.domain.delivery import Outcome
from drone_scheduler.domain import decisions
from drone_scheduler.domain.decisions import NOTHING
from drone_scheduler.domain.fleet import DroneStatus
from shared_contracts.domain_types import DeliveryStage

HISTORIES = 1_500
MAX_STORY_LINES = 60

Break = Callable[[pytest.MonkeyPatch], None]


def inbox_accepts_duplicates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Actor, "admits", staticmethod(lambda *_: True))


def cancelling_leaves_no_tombstone_at_the_scheduler(patch: pytest.MonkeyPatch) -> None:
    decide = scheduler_consumers.decide_end
    patch.setattr(
        scheduler_consumers,
        "decide_end",
        lambda booking, *given, **more: NOTHING if booking is None else decide(booking, *given, **more),
    )


def cancelling_leaves_no_tombstone_at_delivery(patch: pytest.MonkeyPatch) -> None:
    decide = delivery_consumers.decide_cancellation
    patch.setattr(
        delivery_consumers,
        "decide_cancellation",
        lambda known, request, **more: None if known is None else decide(known, request, **more),
    )


def package_is_not_withdrawn(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(package_consumers, "decide_withdrawal", lambda *_: None)


def drone_is_not_released(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decisions, "_compensation", lambda *_: ())


def drone_is_handed_over_while_it_is_held(patch: pytest.MonkeyPatch) -> None:
    decide = decisions.decide_handover

    def hand_over(drone: Any, waiting: Any, now: Any) -> Any:
        if drone is not None and drone.status is DroneStatus.IN_FLIGHT:
            drone = replace(drone, status=DroneStatus.FREE)
        return decide(drone, waiting, now)

    patch.setattr(scheduler_consumers, "decide_handover", hand_over)
    patch.setattr("drone_scheduler.loaders.released", lambda drone, event: replace(drone, status=DroneStatus.FREE))
    patch.setattr(decisions, "released", lambda drone, event: drone)


def delivery_ends_again(patch: pytest.MonkeyPatch) -> None:
    decide = delivery_consumers.decide_package_rejected

    def decide_again(known: Any, *given: Any, **more: Any) -> Outcome | None:
        if known is not None and known.stage is DeliveryStage.CANCELLED:
            known = replace(known, stage=DeliveryStage.PENDING)
        return decide(known, *given, **more)

    patch.setattr(delivery_consumers, "decide_package_rejected", decide_again)


BROKEN: dict[Break, str] = {
    inbox_accepts_duplicates: "led to|twice",
    cancelling_leaves_no_tombstone_at_the_scheduler: "reserved|its booking is",
    cancelling_leaves_no_tombstone_at_delivery: "was to be cancelled",
    package_is_not_withdrawn: "its package is Ready|1 packages ready, 0 withdrawn",
    drone_is_not_released: "1 drones booked, 0 released",
    drone_is_handed_over_while_it_is_held: "held by|do not agree|reserved",
    delivery_ends_again: "two ends|ended as|and ingestion says",
}


@pytest.mark.parametrize("rule", BROKEN, ids=lambda rule: rule.__name__)
def test_a_broken_rule_is_found(rule: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine(Choreography):
        """Another one, because the seed stays with it."""

    rule(monkeypatch)
    bounded = settings(
        max_examples=HISTORIES,
        stateful_step_count=STEP_COUNT,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
    )
    with pytest.raises(AssertionError, match=BROKEN[rule]) as found:
        run_state_machine_as_test(seed(1)(Machine), settings=bounded)
    story = "\n".join(found.value.__notes__)
    assert re.search(r"state\.so_far\(.*\)", story)
    assert story.count("\n") < MAX_STORY_LINES, story
