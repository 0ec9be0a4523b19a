"""A message that came so often that the process may have died of it, and that did not die of it."""

from journals import REFUSES, WELL, Identity, Place, Process, entry_of, moods

from shared_runtime.envelope import Envelope, new_id
from shared_runtime.messages import MAX_CRASHES


def refused() -> tuple[Identity, Envelope]:
    """A message of a session of its own."""
    identity = (f"a-{new_id()}", 1)
    moods[identity] = REFUSES
    return identity, entry_of(*identity, REFUSES)


def test_waiting_for_the_limit_of_dead_letters_is_no_crash(place: Place) -> None:
    """However often a process is started and stopped meanwhile: the next version handles the message."""
    place.clear()
    moods.clear()
    identity, message = refused()
    sent = {message.id: identity}
    for _ in range(MAX_CRASHES):
        process = Process(place.pool, 1, lambda: 0.0)
        other_identity, other = refused()
        sent[other.id] = other_identity
        assert place.run(process.handle([other]))
        assert not place.run(process.handle([message], is_suspect=True))
        assert not place.run(process.handle([message], is_suspect=True))
    moods[identity] = WELL
    assert place.run(Process(place.pool, 1, lambda: 0.0).handle([message], is_suspect=True))
    assert place.records(sent).journals == {identity[0]: [1]}
    assert place.run(place.pool.fetch("SELECT 1 FROM crash_suspect")) == []
