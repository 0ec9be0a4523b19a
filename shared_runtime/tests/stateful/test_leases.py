"""An attempt at a held message that is late: its process stood still after the attempt began, longer than the lease."""

from journal_service.messages import ENTRIES
from journals import NOT_YET, REFUSES, WELL, Place, Process, entry_of, moods, replay_of

from shared_runtime.envelope import Envelope, new_id
from shared_runtime.held import HeldMessage


class Story:
    """One message that is held, the process that begins an attempt and stands still, and another process."""

    def __init__(self, place: Place) -> None:
        place.clear()
        moods.clear()
        self.place = place
        self.identity = (f"a-{new_id()}", 1)
        self.late, self.quick = (Process(place.pool, 1_000, lambda: 0.0) for _ in range(2))
        moods[self.identity] = NOT_YET
        self.entry = entry_of(*self.identity, NOT_YET)
        assert place.run(self.quick.handle([self.entry]))

    def begin_late_attempt(self) -> HeldMessage:
        self.place.let_retries_be_due()
        source = self.late.retries._sources[ENTRIES.name]
        head: HeldMessage | None = self.place.run(self.late.retries._begin(source, self.identity[0]))
        assert head is not None
        return head

    def go_on(self, head: HeldMessage) -> None:
        """The late process does what it had begun."""
        source = self.late.retries._sources[ENTRIES.name]
        self.place.run(self.late.retries._attempt(source, head, None))

    def retry(self, mood: str) -> None:
        moods[self.identity] = mood
        self.place.let_retries_be_due()
        self.place.run(self.quick.retry())

    def replay(self, letter: Envelope) -> None:
        assert self.place.run(self.quick.handle([replay_of(letter, self.identity, is_mended=True)]))

    def look(self) -> tuple[list[int], list[bool], int, int]:
        """What was handled, which held rows are parked, how many dead letters and how many answers there are."""
        session = self.identity[0]
        records = self.place.records({self.entry.id: self.identity})
        parked = [one.is_parked for one in records.held.get(session, [])]
        return records.journals.get(session, []), parked, len(records.letters), records.outcomes.total()


def test_what_another_process_has_dead_lettered_is_not_handled(place: Place) -> None:
    """Its replay would be the second time."""
    story = Story(place)
    head = story.begin_late_attempt()
    story.retry(REFUSES)
    moods[story.identity] = WELL
    story.go_on(head)
    assert story.look() == ([], [True], 1, 0)
    story.replay(story.entry)
    story.retry(WELL)
    assert story.look() == ([1], [], 1, 1)


def test_what_another_process_has_dead_lettered_is_not_dead_lettered_again(place: Place) -> None:
    story = Story(place)
    head = story.begin_late_attempt()
    story.retry(REFUSES)
    story.go_on(head)
    assert story.look() == ([], [True], 1, 0)


def test_a_replay_is_not_taken_for_the_message_that_it_replaces(place: Place) -> None:
    story = Story(place)
    head = story.begin_late_attempt()
    story.retry(REFUSES)
    story.replay(story.entry)
    moods[story.identity] = WELL
    story.go_on(head)
    assert story.look() == ([], [False], 1, 0)
    story.retry(WELL)
    assert story.look() == ([1], [], 1, 1)


def test_what_another_process_has_tried_in_vain_is_not_tried_at_once(place: Place) -> None:
    story = Story(place)
    head = story.begin_late_attempt()
    story.retry(NOT_YET)
    moods[story.identity] = WELL
    story.go_on(head)
    assert story.look() == ([], [False], 0, 0)
    story.retry(WELL)
    assert story.look() == ([1], [], 0, 0)
