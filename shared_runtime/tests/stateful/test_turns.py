"""Sessions that go on after a long wait take turns."""

import pytest
from journals import NOT_YET, Identity, Place, Process, entry_of, moods

from shared_runtime import held_retries
from shared_runtime.envelope import Envelope, new_id


def test_a_session_with_many_followers_does_not_keep_another_waiting(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_retries, "MESSAGES_PER_TURN", 3)
    place.clear()
    moods.clear()
    long, short = f"a-{new_id()}", f"b-{new_id()}"
    process = Process(place.pool, 1_000, lambda: 0.0)
    sent: dict[object, Identity] = {}

    def send(session: str, *numbers: int) -> None:
        moods[session, numbers[0]] = NOT_YET
        events: list[Envelope] = [entry_of(session, number, NOT_YET) for number in numbers]
        sent.update((event.id, (session, number)) for event, number in zip(events, numbers, strict=True))
        assert place.run(process.handle(events))

    send(long, *range(1, 11))
    send(short, 1)
    moods.clear()
    place.let_retries_be_due()
    place.run(process.retry())
    assert place.records(sent).journals == {long: [1, 2, 3], short: [1]}
    for _ in range(3):
        place.run(process.retry())
    assert place.records(sent).journals == {long: list(range(1, 11)), short: [1]}
