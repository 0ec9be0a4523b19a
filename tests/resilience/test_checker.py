"""The checker is itself checked: a healthy history is green, and each thing that can go wrong turns it red."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from faultline import checker
from faultline.control import KILLS_PREFIX
from faultline.history import (
    Batch,
    Call,
    Change,
    DeadLetter,
    Expected,
    Operation,
    Outcome,
    Phase,
    Proof,
    Published,
    Record,
    Recovery,
    Repair,
    Trial,
    read_trial,
    write_trial,
)
from faultline.journals import batches_of
from healthy_trial import CANCELLED, COMPLETED, DRONE, FAILED, OWNER, healthy, with_final, with_history

from shared_contracts.delivery.v1 import DeliveryCompleted, DeliveryScheduled, NotificationRequested
from shared_contracts.package_service.v1 import PackageWithdrawn

replace = msgspec.structs.replace


def red(trial: Trial) -> set[str]:
    """The invariants that do not hold."""
    return {verdict.number for verdict in checker.judge(trial) if not verdict.holds}


def dropped(trial: Trial, wanted: Callable[[Record], bool]) -> Trial:
    """The same without the first record that is wanted."""
    index = next(number for number, record in enumerate(trial.history) if wanted(record))
    return with_history(trial, trial.history[:index] + trial.history[index + 1 :])


def doubled(trial: Trial, wanted: Callable[[Record], bool]) -> Trial:
    """The same with the first record that is wanted twice, the second time at the end."""
    record = next(record for record in trial.history if wanted(record))
    return with_history(trial, [*trial.history, record])


def change(table: str, key: str, status: str) -> Callable[[Record], bool]:
    return lambda record: (
        isinstance(record, Change)
        and (record.table, record.key, record.status)
        == (
            table,
            key,
            status,
        )
    )


def handled(kind: str, delivery: str) -> Callable[[Record], bool]:
    return lambda record: (
        isinstance(record, Batch) and [(one.kind, one.session) for one in record.calls] == [(kind, delivery)]
    )


def event(kind: str) -> Callable[[Record], bool]:
    return lambda record: isinstance(record, Published) and record.kind == kind


def dead(session: str, reason: str = "refused", state: str = "discarded") -> DeadLetter:
    return DeadLetter(
        dead_letter_id="1",
        subscription="delivery.delivery",
        message_id="x",
        session=session,
        kind="k",
        reason=reason,
        state=state,
    )


def test_a_healthy_history_is_green() -> None:
    assert red(healthy()) == set()
    assert all(verdict.checked for verdict in checker.judge(healthy()) if not verdict.number.startswith("I7"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_trial(tmp_path / "trial", healthy())
    assert read_trial(tmp_path / "trial") == healthy()


def test_every_dropped_effect_is_red() -> None:
    trial = healthy()
    batches = [number for number, record in enumerate(trial.history) if isinstance(record, Batch)]
    for number in batches:
        assert "I5 (messages)" in red(with_history(trial, trial.history[:number] + trial.history[number + 1 :]))


def test_every_doubled_effect_is_red() -> None:
    trial = healthy()
    for record in trial.of(Batch):
        again = replace(record, number=record.number + 10_000, commit_at=record.commit_at + 10_000)
        assert "I5 (messages)" in red(with_history(trial, [*trial.history, again]))


def test_an_effect_that_the_process_did_not_live_to_note_counts_when_the_inbox_knows_it() -> None:
    trial = healthy()
    batch = trial.of(Batch)[0]
    unknown = replace(batch, outcome=Outcome.UNKNOWN)
    trial = with_history(trial, [unknown if record is batch else record for record in trial.history])
    assert "I5 (messages)" in red(trial)
    call = batch.calls[0]
    assert red(with_final(trial, inbox=[(batch.subscription, call.message_id, call.epoch)])) == set()


def test_swapped_effects_of_a_session_are_red() -> None:
    trial = healthy()
    kinds = (DeliveryScheduled.message_type, DeliveryCompleted.message_type)
    first, second = (
        next(
            one
            for one in trial.of(Batch)
            if one.subscription == "ingestion.delivery-events" and handled(kind, COMPLETED)(one)
        )
        for kind in kinds
    )
    swapped = {
        id(first): replace(first, calls=second.calls, commit_at=first.commit_at),
        id(second): replace(second, calls=first.calls, commit_at=second.commit_at),
    }
    assert "I4 (order)" in red(with_history(trial, [swapped.get(id(record), record) for record in trial.history]))


def test_handlers_of_a_session_that_overlap_are_red() -> None:
    trial = healthy()
    mine = [
        one
        for one in trial.of(Batch)
        if one.subscription == "ingestion.delivery-events" and one.calls[0].session == COMPLETED
    ]
    slow = replace(mine[0], commit_at=mine[1].calls[0].begun_at + 0.5)
    assert red(with_history(trial, [slow if record is mine[0] else record for record in trial.history])) == {
        "I4 (no overlap)"
    }


def test_handlers_of_different_sessions_may_overlap() -> None:
    trial = healthy()
    long = [
        replace(
            record,
            commit_at=record.commit_at + 0.5,
            calls=[replace(call, begun_at=call.begun_at - 0.5) for call in record.calls],
        )
        if isinstance(record, Batch) and record.calls[0].session == COMPLETED
        else record
        for record in trial.history
    ]
    assert red(with_history(trial, long)) == set()


def test_a_drone_booked_twice_at_a_time_is_red() -> None:
    trial = dropped(healthy(), change("booking", COMPLETED, "Completed"))
    assert "I2" in red(trial)


def test_a_drone_booked_before_it_is_released_is_red() -> None:
    trial = healthy()
    ended, booked = handing_on(trial)
    positions = {ended: booked.position, booked: ended.position}
    swapped = [
        replace(record, position=positions[record]) if record is ended or record is booked else record
        for record in trial.history
    ]
    assert "I2" in red(with_history(trial, swapped))


def test_a_drone_handed_on_within_one_transaction_is_green_in_either_order() -> None:
    trial = healthy()
    ended, booked = handing_on(trial)
    first = booked.position
    # Another transaction notes a change in between.
    between = Change(
        service=booked.service, position=first + 1, transaction="other", table="booking", key="other", status="Waiting"
    )
    for positions in ((first, first + 2), (first + 2, first)):
        together = [
            replace(record, transaction="one", position=positions[record is booked])
            if record is ended or record is booked
            else replace(record, position=record.position + 3)
            if isinstance(record, Change) and record.position > first
            else record
            for record in trial.history
        ]
        assert red(with_history(trial, [*together, between])) == set()


def handing_on(trial: Trial) -> tuple[Change, Change]:
    """The end of a booking, and the next booking of the same drone."""
    ended = next(record for record in trial.of(Change) if change("booking", COMPLETED, "Completed")(record))
    booked = next(record for record in trial.of(Change) if change("booking", CANCELLED, "Booked")(record))
    return ended, booked


@pytest.mark.parametrize("delivery", [COMPLETED, CANCELLED, FAILED])
def test_an_end_that_is_lost_is_red(delivery: str) -> None:
    ends = {COMPLETED: "Completed", CANCELLED: "Cancelled", FAILED: "Failed"}
    assert "I1" in red(dropped(healthy(), change("delivery", delivery, ends[delivery])))


def test_a_second_end_is_red() -> None:
    trial = healthy()
    end = next(record for record in trial.of(Change) if change("delivery", COMPLETED, "Completed")(record))
    other = replace(end, status="Cancelled", position=end.position + 10_000, transaction="later")
    assert "I1" in red(with_history(trial, [*trial.history, other]))


def test_a_delivery_that_goes_on_after_its_end_is_red() -> None:
    trial = healthy()
    end = next(record for record in trial.of(Change) if change("delivery", COMPLETED, "Completed")(record))
    other = replace(end, status="Created", position=end.position + 10_000, transaction="later")
    assert "I1" in red(with_history(trial, [*trial.history, other]))


def test_an_end_announced_twice_or_never_is_red() -> None:
    completed = event(DeliveryCompleted.message_type)
    assert "I1" in red(dropped(healthy(), completed))
    trial = healthy()
    announced = next(record for record in trial.of(Published) if completed(record))
    again = replace(announced, message_id="another", position=announced.position + 10_000)
    assert "I1" in red(with_history(trial, [*trial.history, again]))


def test_an_accepted_request_that_is_gone_is_red() -> None:
    trial = healthy()
    final = {
        name: [row for row in getattr(trial.final, name) if COMPLETED not in row.values()]
        for name in ("requests", "deliveries", "packages", "bookings")
    }
    assert {"I1", "I3", "I6 (nothing reserved)"} <= red(with_final(trial, **final))


def test_ingestion_that_tells_something_else_is_red() -> None:
    trial = healthy()
    requests = [{**row, "stage": "Cancelled"} for row in trial.final.requests]
    assert "I3" in red(with_final(trial, requests=requests))


def test_a_parked_delivery_counts_as_parked() -> None:
    trial = dropped(healthy(), change("delivery", FAILED, "Failed"))
    parked = [{**row, "stage": "Pending"} if row["delivery_id"] == FAILED else row for row in trial.final.deliveries]
    trial = with_final(trial, deliveries=parked)
    assert "I3" in red(trial)
    assert "I3" not in red(with_final(trial, dead_letters=[dead(FAILED, state="open")]))
    assert "I3" in red(with_final(trial, dead_letters=[dead(FAILED)]))


def test_a_key_that_stands_for_two_deliveries_is_red() -> None:
    trial = healthy()
    answer = next(one for one in trial.of(Operation) if one.phase is Phase.OK)
    other = replace(answer, delivery_id=CANCELLED)
    assert "I5 (keys)" in red(with_history(trial, [*trial.history, other]))


def test_a_delivery_that_nobody_asked_for_is_red() -> None:
    trial = healthy()
    extra = {"delivery_id": "delivery-4", "owner_id": OWNER, "stage": "Completed", "reason": None}
    assert "I5 (keys)" in red(with_final(trial, requests=[*trial.final.requests, extra]))


def test_a_compensation_that_is_missing_or_done_twice_is_red() -> None:
    withdrawn = event(PackageWithdrawn.message_type)
    assert "I6" in red(dropped(healthy(), withdrawn))
    assert "I6" in red(doubled(healthy(), withdrawn))
    assert "I6" in red(dropped(healthy(), change("booking", CANCELLED, "Released")))
    assert "I6" in red(doubled(healthy(), change("package", CANCELLED, "Withdrawn")))


def test_a_flight_that_is_not_booked_or_booked_otherwise_is_red() -> None:
    trial = healthy()
    for changed in ({"flown_distance_m": 2_400.0}, {"flown_duration_s": None}):
        bookings = [{**row, **changed} if row["delivery_id"] == COMPLETED else row for row in trial.final.bookings]
        assert red(with_final(trial, bookings=bookings)) == {"I5 (flights)"}


def test_a_notification_that_is_missing_or_comes_twice_is_red() -> None:
    notified = event(NotificationRequested.message_type)
    assert red(dropped(healthy(), notified)) == {"I5 (notifications)"}
    trial = healthy()
    told = next(record for record in trial.of(Published) if notified(record))
    again = replace(told, message_id="another", position=told.position + 10_000)
    assert red(with_history(trial, [*trial.history, again])) == {"I5 (notifications)"}


def test_a_drone_that_stays_held_is_red() -> None:
    held = [{"drone_id": DRONE, "status": "Booked", "delivery_id": FAILED}]
    assert red(with_final(healthy(), drones=held)) == {"I6 (nothing reserved)"}


@pytest.mark.parametrize(
    "left",
    [
        {"outbox": {"delivery": 1}},
        {"suspects": {"delivery": 1}},
        {"queues": {"delivery.delivery.0": 1}},
        {"queues": {"delivery.delivery.0": None}},
        {"held": [{"service": "delivery", "session_id": FAILED, "message_id": "x", "error": "y"}]},
    ],
)
def test_what_is_left_on_the_way_is_red(left: dict[str, object]) -> None:
    assert red(with_final(healthy(), **left)) == {"I3 (nothing left)"}


def test_a_dead_letter_that_nobody_poisoned_is_red() -> None:
    letter = dead(FAILED)
    assert red(with_final(healthy(), dead_letters=[letter])) == {"I7 (only poison is dead)"}


def test_poison_is_to_be_set_aside_once_and_for_its_reason() -> None:
    session = f"{KILLS_PREFIX}00000000"
    trial = replace(healthy(), expected=Expected(poison={session: "crashes_consumer"}))
    letter = dead(session, reason="crashes_consumer")
    assert red(trial) == {"I7 (only poison is dead)"}
    assert red(with_final(trial, dead_letters=[letter])) == set()
    assert red(with_final(trial, dead_letters=[letter, letter])) == {"I7 (only poison is dead)"}
    assert red(with_final(trial, dead_letters=[replace(letter, reason="refused")])) == {"I7 (only poison is dead)"}


def test_a_dead_letter_of_a_broken_handler_is_expected() -> None:
    trial = replace(healthy(), expected=Expected(afflicted=["delivery.delivery"]))
    assert red(with_final(trial, dead_letters=[dead(FAILED, state="resolved")])) == set()


def test_a_dead_letter_that_is_left_is_red() -> None:
    trial = replace(healthy(), expected=Expected(afflicted=["delivery.delivery"]))
    for state in ("open", "replaying"):
        assert red(with_final(trial, dead_letters=[dead(FAILED, state=state)])) == {"I7"}


def test_a_second_replay_that_changes_something_is_red() -> None:
    repair = Repair(dead_letter_id="1", state="resolved", second_status=409, changed=False)
    for wrong in (replace(repair, second_status=200), replace(repair, changed=True)):
        assert red(with_history(healthy(), [*healthy().history, wrong])) == {"I7"}
    assert red(with_history(healthy(), [*healthy().history, repair])) == set()


def test_an_effect_in_two_epochs_is_red() -> None:
    trial = healthy()
    batch = trial.of(Batch)[0]
    again = replace(batch, number=10_000, commit_at=batch.commit_at + 10_000, calls=[replace(batch.calls[0], epoch=1)])
    assert "I5 (messages)" in red(with_history(trial, [*trial.history, again]))


@pytest.mark.parametrize("recovery", [{"consumers_s": None}, {"progress_s": None}, {"progress_s": 31.0}])
def test_a_suite_that_does_not_go_on_is_red(recovery: dict[str, float | None]) -> None:
    trial = healthy()
    late = [replace(record, **recovery) if isinstance(record, Recovery) else record for record in trial.history]
    assert red(with_history(trial, late)) == {"I8"}


def test_a_trial_whose_fault_was_not_there_is_void() -> None:
    trial = healthy()
    history = [replace(record, evidence="") if isinstance(record, Proof) else record for record in trial.history]
    assert not checker.is_void(trial)
    assert checker.is_void(with_history(trial, history))
    assert not checker.violations(with_history(trial, history))


def test_batches_are_made_of_what_processes_noted() -> None:
    call = ["id", 0, "kind", "session", 1.0]
    common = {"process": "delivery", "pid": 7}
    notes = [
        {**common, "event": "commit", "batch": 1, "subscription": "s", "at": 2.0, "calls": [call]},
        {**common, "event": "committed", "batch": 1, "subscription": "s", "at": 3.0, "duplicates": ["d"]},
        {**common, "event": "commit", "batch": 2, "subscription": "s", "at": 4.0, "calls": [call]},
        {**common, "event": "failed", "batch": 2, "at": 5.0, "error": "e"},
        {**common, "event": "failed", "batch": 3, "at": 5.0, "error": "before the commit"},
        {**common, "event": "committed", "batch": 4, "subscription": "s", "at": 6.0, "duplicates": ["e"]},
        {**common, "event": "commit", "batch": 5, "subscription": "s", "at": 7.0, "calls": [call]},
        {**common, "event": "died", "why": "kill", "at": 7.1},
    ]
    batches = {batch.number: batch for batch in batches_of(notes)}
    assert {number: batch.outcome for number, batch in batches.items()} == {
        1: Outcome.COMMITTED,
        2: Outcome.UNKNOWN,
        4: Outcome.COMMITTED,
        5: Outcome.UNKNOWN,
    }
    assert batches[1].calls == [Call(*call)]
    assert [batches[number].duplicates for number in (1, 2, 4)] == [["d"], [], ["e"]]
