"""Whatever the order and however often messages come, a delivery ends at most once, and its stages never go back."""

from datetime import datetime, timedelta

from delivery_stories import (
    DEADLINE,
    DROPOFF,
    NOON,
    NOTHING_YET,
    OTHER_DRONE_ID,
    Story,
    cancellation,
    drone_released,
    drone_scheduled,
    landed,
    leaving,
    no_drone,
    no_outcome,
    on_board,
    package_ready,
    package_rejected,
    package_withdrawn,
    reschedule,
    telemetry,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.domain.delivery import Delivery, Outcome
from delivery.domain.ending import terminal_event
from delivery.domain.flying import decide_confirmation
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared_contracts.domain_types import ConfirmationType, DeliveryStage
from shared_contracts.fleet.v1 import DroneActivity
from shared_contracts.message import Message

TERMINAL = (DeliveryCompleted, DeliveryCancelled, DeliveryFailed)
LAST_MOMENT = DEADLINE + timedelta(days=1)

PROGRESS: list[Message] = [
    package_ready(),
    package_ready(confirmation=ConfirmationType.NONE),
    drone_scheduled(),
    drone_scheduled(drone_id=OTHER_DRONE_ID),
    reschedule(),
    reschedule(NOON, NOON + timedelta(minutes=1)),
    leaving(),
    on_board(),
    landed(),
    telemetry(DroneActivity.AT_DROPOFF, DROPOFF, NOON + timedelta(hours=5)),
    telemetry(DroneActivity.IDLE, DROPOFF, NOON + timedelta(seconds=50)),
    package_withdrawn(),
    drone_released(),
]
ENDS: list[Message] = [package_rejected(), no_drone(), cancellation(), no_outcome()]

PROGRESS_OF_STAGE = {
    DeliveryStage.PENDING: 0,
    DeliveryStage.CREATED: 1,
    DeliveryStage.RESCHEDULED: 2,
    DeliveryStage.HEADED_TO_PICKUP: 3,
    DeliveryStage.HEADED_TO_DROPOFF: 4,
    DeliveryStage.COMPLETED: 5,
    DeliveryStage.CANCELLED: 5,
    DeliveryStage.FAILED: 5,
}

steps = st.tuples(
    st.one_of(st.sampled_from([*PROGRESS, *ENDS]), st.sampled_from(["confirmation", "clock"])),
    st.sampled_from([0, 1, 60, 600, 3_600]),
)
histories = st.lists(steps, max_size=30)


def confirm(story: Story, now: datetime) -> Story:
    if story.state is None:
        return story
    outcome = decide_confirmation(story.state, ConfirmationType.PICTURE, location=None, reference=None, now=now)
    return story.goes_on(outcome) if isinstance(outcome, Outcome) else story


def live(history: list[tuple[Message | str, int]]) -> tuple[Story, list[Delivery], datetime]:
    story, states, now = NOTHING_YET, [], NOON
    for step, pause_s in history:
        now += timedelta(seconds=pause_s)
        if isinstance(step, Message):
            story = story.hears(step, at=now)
        elif step == "confirmation":
            story = confirm(story, now)
        elif story.state is not None:
            story = story.waits_until(now)
        states += [story.state] if story.state is not None else []
    return story, states, now


def ends_of(story: Story) -> list[Message]:
    return [message for message in story.messages if isinstance(message, TERMINAL)]


@settings(max_examples=400, deadline=None)
@given(histories)
def test_it_ends_at_most_once_and_the_end_stays(history: list[tuple[Message | str, int]]) -> None:
    story, states, _ = live(history)
    ended = [state for state in states if state.stage.is_terminal]
    assert len({state.stage for state in ended}) <= 1
    assert len({state.ended_at for state in ended}) <= 1
    # Told again on request, the end is the same to the letter.
    assert all(end == terminal_event(story.delivery) for end in ends_of(story))
    assert bool(ends_of(story)) == bool(ended)
    repeats = sum(step == no_outcome() for step, _ in history)
    assert len(ends_of(story)) <= 1 + repeats


@settings(max_examples=400, deadline=None)
@given(histories)
def test_stages_never_go_back(history: list[tuple[Message | str, int]]) -> None:
    story, states, _ = live(history)
    progress = [PROGRESS_OF_STAGE[state.stage] for state in states]
    assert progress == sorted(progress)
    for name in ("DeliveryScheduled", "DeliveryHeadedToPickup", "DeliveryHeadedToDropoff"):
        assert story.told.count(name) <= 1


@settings(max_examples=400, deadline=None)
@given(histories)
def test_it_always_ends(history: list[tuple[Message | str, int]]) -> None:
    story, states, now = live(history)
    if states:
        assert story.delivery.stage.is_terminal or story.delivery.due_at is not None
        story = story.waits_until(max(now, LAST_MOMENT))
        assert len(ends_of(story)) >= 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ENDS), st.lists(st.sampled_from(PROGRESS), max_size=8), st.randoms(use_true_random=False))
def test_it_ends_exactly_once_when_a_cause_is_present(cause: Message, others: list[Message], order: object) -> None:
    before_the_pickup = [message for message in others if message not in PROGRESS[6:11]]
    messages = [cause, *before_the_pickup, *before_the_pickup]
    order.shuffle(messages)  # type: ignore[attr-defined]
    story = NOTHING_YET.hears(*messages, at=NOON)
    if cause == no_outcome() and not ends_of(story):
        # Before its deadline a scheduled delivery keeps its own time.
        story = story.waits_until(LAST_MOMENT)
    assert len(ends_of(story)) == 1


@settings(max_examples=300, deadline=None)
@given(histories)
def test_history_is_numbered_without_a_gap(history: list[tuple[Message | str, int]]) -> None:
    story, _, _ = live(history)
    assert [line.sequence for line in story.tracking] == list(range(1, len(story.tracking) + 1))


@settings(max_examples=300, deadline=None)
@given(histories)
def test_nothing_ends_again_when_everything_is_heard_again(history: list[tuple[Message | str, int]]) -> None:
    story, _, now = live(history)
    if not ends_of(story):
        return
    messages = [step for step, _ in history if isinstance(step, Message) and step != no_outcome()]
    again = story.hears(*messages, at=now)
    assert ends_of(again) == ends_of(story)
    assert again.delivery.stage is story.delivery.stage
