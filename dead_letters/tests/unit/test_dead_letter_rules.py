"""What may be done with a dead letter, and what an arrival or an answer makes of it."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from dead_letter_states import NOW, SAM, a_failure, a_letter, an_origin
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dead_letters.domain.audit import facts_of
from dead_letters.domain.dead_letter import (
    DeadLetter,
    Destination,
    Objection,
    Refused,
    Replay,
    Version,
    decide_answer,
    decide_arrival,
    decide_discard,
    decide_edit,
    decide_reopen,
    decide_replay,
    decide_restore,
)
from dead_letters.domain.limits import ANSWER_EXPECTED_S
from dead_letters.domain.states import Form, ReplayState, State

LATER = NOW + timedelta(minutes=5)


def destination(epoch: int = 1, *, is_known: bool = False) -> Destination:
    return Destination(uuid4(), "package-service.delivery-requests.2", epoch, is_known)


def replayed(letter: DeadLetter | None = None) -> tuple[DeadLetter, Replay]:
    letter, (replay,) = decide_replay(letter or a_letter(), [destination()], SAM, NOW)
    return letter, replay


def a_version(letter: DeadLetter) -> Version:
    return Version(uuid4(), letter.dead_letter_id, letter.version + 1, b"{}", 2, "", "", LATER, "sam", "why", NOW)


def test_open_when_it_arrives() -> None:
    letter = a_letter()
    assert (letter.state, letter.failures, letter.attempts, letter.version) == (State.OPEN, 1, 5, 0)
    assert letter.is_parked


def test_only_an_open_one_is_replayed_discarded_or_edited() -> None:
    for state in State:
        letter = a_letter(state=state)
        attempts = (
            lambda one=letter: decide_replay(one, [destination()], SAM, NOW),
            lambda one=letter: decide_discard(one, NOW),
            lambda one=letter: decide_edit(one, a_version(one), 0, NOW),
        )
        for attempt in attempts:
            if state is State.OPEN:
                attempt()
            else:
                with pytest.raises(Refused) as refused:
                    attempt()
                assert (refused.value.objection, refused.value.facts) == (Objection.NOT_OPEN, {"state": state})
                assert "already" in str(refused.value)


def test_only_a_discarded_one_is_restored() -> None:
    for state in State:
        letter = a_letter(state=state)
        if state is State.DISCARDED:
            assert decide_restore(letter, NOW).state is State.OPEN
        else:
            with pytest.raises(Refused, match="only a discarded one"):
                decide_restore(letter, NOW)


def test_a_replay_is_of_the_next_epoch_and_names_who_wanted_it() -> None:
    letter, replay = replayed(a_letter(attempt_epoch=0, version=3))
    assert (letter.state, letter.attempt_epoch, letter.unanswered) == (State.REPLAYING, 1, 1)
    assert (replay.actor, replay.why, replay.version, replay.state) == ("sam", SAM.why, 3, ReplayState.SENT)
    # Its session goes on waiting until the answer.
    assert letter.is_parked


def test_what_is_no_event_is_not_replayed() -> None:
    with pytest.raises(Refused) as refused:
        decide_replay(a_letter(form=Form.UNDECODABLE), [], SAM, NOW)
    assert refused.value.objection is Objection.STILL_UNDECODABLE


def test_resolved_at_once_when_every_event_inside_has_a_dead_letter_of_its_own() -> None:
    letter, replays = decide_replay(a_letter(form=Form.UNDECODABLE), [destination(is_known=True)], SAM, NOW)
    assert (letter.state, replays) == (State.RESOLVED, [])


def test_resolved_when_the_replay_is_handled() -> None:
    letter, replay = replayed()
    letter, answered = decide_answer(letter, replay, ReplayState.HANDLED, LATER)
    assert (letter.state, letter.is_parked, answered.answered_at) == (State.RESOLVED, False, LATER)


def test_a_second_answer_changes_nothing() -> None:
    letter, replay = replayed()
    letter, answered = decide_answer(letter, replay, ReplayState.HANDLED, LATER)
    for outcome in (ReplayState.HANDLED, ReplayState.FAILED):
        assert decide_answer(letter, answered, outcome, LATER) is None


def test_open_again_with_what_failed_last_when_the_replay_fails() -> None:
    letter, _ = replayed()
    failure = a_failure(letter, attempt_epoch=1, description="another", fingerprint="f2", last_failed_at=LATER)
    letter = decide_arrival(letter, failure, an_origin(), LATER)
    assert (letter.state, letter.description, letter.fingerprint) == (State.OPEN, "another", "f2")
    assert (letter.failures, letter.attempts, letter.last_failed_at) == (2, 10, LATER)


@pytest.mark.parametrize("state", State)
def test_an_older_failure_is_counted_and_changes_nothing_else(state: State) -> None:
    known = a_letter(state=state, attempt_epoch=2)
    letter = decide_arrival(known, a_failure(known, attempt_epoch=1, description="old"), an_origin(), LATER)
    assert letter == replace(known, failures=2, attempts=10, changed_at=LATER)


@pytest.mark.parametrize("state", [State.RESOLVED, State.DISCARDED])
def test_what_is_done_with_is_not_opened_by_a_failure_of_the_same_replay(state: State) -> None:
    known = a_letter(state=state, attempt_epoch=1)
    assert decide_arrival(known, a_failure(known, attempt_epoch=1), an_origin(), LATER).state is state


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_what_was_taken_apart_is_resolved_with_the_last_answer(handled: list[bool]) -> None:
    letter = a_letter(form=Form.UNDECODABLE)
    letter, replays = decide_replay(letter, [destination() for _ in handled], SAM, NOW)
    for left, (replay, is_handled) in enumerate(zip(replays, handled, strict=True), 1):
        assert letter.state is State.REPLAYING
        outcome = ReplayState.HANDLED if is_handled else ReplayState.FAILED
        letter, _ = decide_answer(letter, replay, outcome, LATER)
        assert letter.unanswered == len(handled) - left
    assert letter.state is State.RESOLVED


def test_the_answer_to_an_earlier_replay_does_not_resolve_a_later_one() -> None:
    letter, replay = replayed()
    later = replace(letter, attempt_epoch=2)
    letter, answered = decide_answer(later, replay, ReplayState.HANDLED, LATER)
    assert (letter, answered.state) == (later, ReplayState.HANDLED)


def test_who_looked_at_an_older_version_is_refused() -> None:
    letter = a_letter(version=2)
    with pytest.raises(Refused) as refused:
        decide_edit(letter, a_version(letter), 1, NOW)
    assert (refused.value.objection, refused.value.facts) == (Objection.VERSION_CONFLICT, {"version": 2})
    edited = decide_edit(letter, a_version(letter), 2, NOW)
    assert (edited.version, edited.expires_at, edited.state) == (3, LATER, State.OPEN)


def test_the_audit_shows_no_body_and_no_description() -> None:
    letter = a_letter(description="alice lives in Zurich")
    facts = facts_of(letter)
    assert "alice" not in str(facts)
    assert json.loads(str(facts))["state"] == "open"
    assert facts_of(None) is None


def test_reopened_only_when_it_replays_and_no_answer_is_to_be_expected() -> None:
    letter, _ = replayed()
    with pytest.raises(Refused) as refused:
        decide_reopen(letter, NOW + timedelta(seconds=ANSWER_EXPECTED_S - 1))
    assert refused.value.objection is Objection.ANSWER_EXPECTED
    assert decide_reopen(letter, NOW + timedelta(seconds=ANSWER_EXPECTED_S)).state is State.OPEN
    for state in set(State) - {State.REPLAYING}:
        with pytest.raises(Refused) as refused:
            decide_reopen(replace(letter, state=state), NOW + timedelta(days=1))
        assert refused.value.objection is Objection.NOT_REPLAYING


def test_reopened_it_is_replayed_in_the_same_epoch_until_there_is_an_answer() -> None:
    letter, replay = replayed()
    again, (second,) = decide_replay(
        reopened(letter), [replace(destination(), message_id=replay.message_id)], SAM, LATER
    )
    assert (again.attempt_epoch, second.replay_id) == (1, replay.replay_id)
    failed = decide_arrival(reopened(letter), a_failure(letter, attempt_epoch=1), an_origin(), LATER)
    assert (failed.state, failed.unanswered) == (State.OPEN, 0)
    assert decide_replay(failed, [destination(2)], SAM, LATER)[0].attempt_epoch == 2


def test_what_is_not_answered_is_not_edited() -> None:
    letter = reopened(replayed()[0])
    with pytest.raises(Refused) as refused:
        decide_edit(letter, a_version(letter), 0, LATER)
    assert refused.value.objection is Objection.REPLAY_UNANSWERED


def test_a_late_answer_resolves_what_was_reopened_or_discarded_meanwhile() -> None:
    letter, replay = replayed()
    for one in (reopened(letter), decide_discard(reopened(letter), LATER)):
        decision = decide_answer(one, replay, ReplayState.HANDLED, LATER)
        assert decision is not None
        assert (decision[0].state, decision[0].unanswered) == (State.RESOLVED, 0)
        failed = decide_arrival(one, a_failure(letter, attempt_epoch=1), an_origin(), LATER)
        assert (failed.state, failed.is_parked) == (State.OPEN, True)


def reopened(letter: DeadLetter) -> DeadLetter:
    return decide_reopen(letter, NOW + timedelta(seconds=ANSWER_EXPECTED_S))
