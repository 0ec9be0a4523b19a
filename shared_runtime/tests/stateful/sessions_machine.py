"""What may happen to the sessions of a subscription, and what has to hold whatever does."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from journals import (
    MOODS,
    WELL,
    Died,
    Fault,
    Identity,
    Place,
    Process,
    Records,
    discard_of,
    entry_of,
    moods,
    replay_of,
)

from shared_runtime.envelope import Envelope, new_id

FAULTS = {
    "well": None,
    "the connection breaks before the commit": Fault(0, commits=False, dies=False),
    "the commit is not answered": Fault(0, commits=True, dies=False),
    "the process dies before the commit": Fault(0, commits=False, dies=True),
    "the process dies after the commit": Fault(0, commits=True, dies=True),
    "the connection breaks before the second commit": Fault(1, commits=False, dies=False),
    "the second commit is not answered": Fault(1, commits=True, dies=False),
    "the process dies before the second commit": Fault(1, commits=False, dies=True),
    "the process dies after the second commit": Fault(1, commits=True, dies=True),
    "the process dies before the third commit": Fault(2, commits=False, dies=True),
}
NAMES = ("a", "b")
MAX_STEPS = 25
STEP_COUNT = MAX_STEPS + 1
"""For Hypothesis, which counts the beginning as a step."""


def step(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule after which everything is checked.

    The end is part of a step as well: what is found at the teardown does not shrink to fewer steps.
    """

    def register(happen: Callable[..., None]) -> Any:
        @wraps(happen)
        def happen_and_check(machine: "Sessions", **given: Any) -> None:
            if machine.steps_left:
                happen(machine, **given)
                machine.check()
                machine.count_step()

        return rule(**arguments)(happen_and_check)

    return register


lengths = st.one_of(st.integers(1, 12), *[st.just(MAX_STEPS)] * 3)
"""Most histories are as long as they may be; the shortest that shows the same is the one that is told."""
faults = st.sampled_from(["well"] * 8 + list(FAULTS))
processes = st.integers(0, 1)
letters = st.runner().flatmap(lambda machine: st.sampled_from(list(machine.parked())))


class Sessions(RuleBasedStateMachine):
    """Two sessions of one subscription, two processes, a broker that delivers at least once, and support."""

    place: ClassVar[Place]

    @initialize(dead_letters_per_minute=st.sampled_from([1_000, 1_000, 2]), steps=lengths)
    def so_far(self, dead_letters_per_minute: int, steps: int) -> None:
        self.steps_left = steps
        self.place.clear()
        moods.clear()
        self.now_s = 0.0
        self.dead_letters_per_minute = dead_letters_per_minute
        self.processes = [self._process(), self._process()]
        self.queue: list[Envelope] = []
        self.sent: list[Envelope] = []
        self.number_of: dict[Any, Identity] = {}
        self.sessions = {name: f"{name}-{new_id()}" for name in NAMES}
        self.counts = Counter[str]()
        self.acknowledged: set[Identity] = set()
        self.discarded: set[Identity] = set()
        self.letter_of: dict[Identity, Envelope] = {}
        self.records = self.place.records({})

    def _process(self) -> Process:
        return Process(self.place.pool, self.dead_letters_per_minute, lambda: self.now_s)

    # What comes.

    @step(session=st.sampled_from(NAMES), moods=st.lists(st.sampled_from(MOODS), min_size=1, max_size=4))
    def sender_sends(self, session: str, moods: list[str]) -> None:
        for mood in moods:
            self.send(session, mood)

    def send(self, name: str, mood: str) -> None:
        session = self.sessions[name]
        self.counts[name] += 1
        identity = session, self.counts[name]
        moods[identity] = mood
        envelope = entry_of(*identity, mood)
        self.number_of[envelope.id] = identity
        self.sent.append(envelope)
        self.queue.append(envelope)

    @precondition(lambda self: self.queue)
    @step(events=st.sampled_from([1, 3, 10]), process=processes, fault=faults, is_acknowledged=st.booleans())
    def broker_delivers(self, events: int, process: int, fault: str, is_acknowledged: bool) -> None:
        batch = self.queue[:events]
        (is_done,) = self.work((process, fault, lambda one: one.handle(batch)))
        if is_done and is_acknowledged:
            self.acknowledge(events)

    @precondition(lambda self: self.queue)
    @step(process=processes, fault=faults)
    def broker_delivers_once_too_often(self, process: int, fault: str) -> None:
        """The first message came so often that the process may have died of it: it is handled alone."""
        batch = self.queue[:1]
        (is_done,) = self.work((process, fault, lambda one: one.handle(batch, is_suspect=True)))
        if is_done:
            self.acknowledge(1)

    @precondition(lambda self: self.queue)
    @step(events=st.sampled_from([1, 3, 10]), other_events=st.sampled_from([1, 3, 10]), fault=faults)
    def broker_delivers_to_both_processes(self, events: int, other_events: int, fault: str) -> None:
        """The connection of the first broke, and it does not know yet."""
        batch, other = self.queue[:events], self.queue[:other_events]
        done = self.work((0, fault, lambda one: one.handle(batch)), (1, "well", lambda one: one.handle(other)))
        if done[1]:
            self.acknowledge(other_events)

    @precondition(lambda self: self.sent)
    @step(number=st.runner().flatmap(lambda machine: st.integers(0, len(machine.sent) - 1)))
    def broker_repeats(self, number: int) -> None:
        self.queue.append(self.sent[number])

    # What the service does by itself.

    @step(process=processes, fault=faults)
    def process_retries(self, process: int, fault: str) -> None:
        self.place.let_retries_be_due()
        self.work((process, fault, Process.retry))

    @step(fault=faults)
    def both_processes_retry(self, fault: str) -> None:
        self.place.let_retries_be_due()
        self.work((0, fault, Process.retry), (1, "well", Process.retry))

    @precondition(lambda self: self.queue)
    @step(events=st.sampled_from([1, 10]), fault=faults)
    def one_process_retries_while_the_other_is_delivered_to(self, events: int, fault: str) -> None:
        self.place.let_retries_be_due()
        batch = self.queue[:events]
        done = self.work((0, fault, Process.retry), (1, "well", lambda one: one.handle(batch)))
        if done[1]:
            self.acknowledge(events)

    @step(seconds=st.sampled_from([10, 60]))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @step()
    def a_long_time_passes(self) -> None:
        self.now_s += 3_600
        self.place.let_patience_end()

    @step(session=st.sampled_from(NAMES))
    def handler_is_mended(self, session: str) -> None:
        for identity in moods:
            if identity[0] == self.sessions[session]:
                moods[identity] = WELL

    # What support does.

    @precondition(lambda self: self.parked())
    @step(letter=letters, is_mended=st.booleans(), times=st.sampled_from([1, 1, 2]))
    def support_replays(self, letter: str, is_mended: bool, times: int) -> None:
        self.replay(self.parked()[letter], is_mended=is_mended, times=times)

    @precondition(lambda self: self.parked())
    @step(letter=letters)
    def support_discards(self, letter: str) -> None:
        identity = self.parked()[letter]
        self.discarded.add(identity)
        self.queue.append(discard_of(self.letter_of[identity]))

    def replay(self, identity: Identity, *, is_mended: bool, times: int = 1) -> None:
        if is_mended:
            moods[identity] = WELL
        replay = replay_of(self.letter_of[identity], identity, is_mended=is_mended)
        self.queue += [replay] * times

    def parked(self) -> dict[str, Identity]:
        """The dead letters that sessions wait for, by a name for the story."""
        return {
            f"{name}{one.number}": (session, one.number)
            for name, session in self.sessions.items()
            for one in self.records.held.get(session, [])
            if one.is_parked
        }

    # How it is run and checked.

    def work(self, *given: tuple[int, str, Callable[[Process], Coroutine[Any, Any, Any]]]) -> list[Any]:
        """Let the processes work at the same time. Those that die are started again. Returns what they say."""

        async def together() -> list[Any]:
            tasks = []
            for number, fault, act in given:
                process = self.processes[number]
                pattern = FAULTS[fault]
                process.database.fault = pattern and Fault(pattern.after_transactions, pattern.commits, pattern.dies)
                tasks.append(act(process))
            return await asyncio.gather(*tasks, return_exceptions=True)

        results = self.place.run(together())
        for (number, _, _), result in zip(given, results, strict=True):
            self.processes[number].database.fault = None
            if isinstance(result, Died):
                self.processes[number] = self._process()
            elif isinstance(result, BaseException):
                raise result
        return [False if isinstance(one, Died) else one for one in results]

    def acknowledge(self, events: int) -> None:
        for envelope in self.queue[:events]:
            if envelope.id in self.number_of:
                self.acknowledged.add(self.number_of[envelope.id])
        del self.queue[:events]

    def check(self) -> None:
        """Whatever has happened."""
        self.records = self.place.records(self.number_of)
        for letter, _ in self.records.letters:
            self.letter_of[self.number_of[letter.id]] = letter
        for name, session in self.sessions.items():
            self._check_session(name, session, self.records)
        for (identifier, epoch), count in Counter((one.id, epoch) for one, epoch in self.records.letters).items():
            assert count == 1, f"{count} dead letters of {self.number_of[identifier][1]}, attempt epoch {epoch}"
        assert all(count == 1 for count in self.records.outcomes.values()), "support is told twice"

    def _check_session(self, name: str, session: str, records: Records) -> None:
        journal, held = records.journals.get(session, []), records.held.get(session, [])
        story = f"{name}: handled {journal}, held {[one.number for one in held]}"
        assert len(set(journal)) == len(journal), f"{story}: an effect happened twice"
        assert records.noted.get(session, []) == journal, f"{story}, published {records.noted.get(session)}"
        waiting = [one.number for one in held]
        assert len(set(waiting)) == len(waiting), f"{story}: a message is held twice"
        assert not set(waiting) & set(journal), f"{story}: what is handled is held"
        for number in range(1, self.counts[name] + 1):
            is_known = number in journal or number in waiting
            has_to_be = (session, number) in self.acknowledged - self.discarded
            assert is_known or not has_to_be, f"{story}: {number} is lost"
        # What support has discarded and then replays after all comes when it comes.
        handled = [number for number in journal if (session, number) not in self.discarded]
        still = [number for number in waiting if (session, number) not in self.discarded]
        assert handled == sorted(handled), f"{story}: out of order"
        assert still == sorted(still), f"{story}: held out of order"
        assert not handled or not still or handled[-1] < still[0], f"{story}: one has overtaken another"
        for one in held:
            known = [epoch for letter, epoch in records.letters if self.number_of[letter.id] == (session, one.number)]
            assert not one.is_parked or one.epoch in known, f"{story}: {one.number} is parked without a dead letter"

    def count_step(self) -> None:
        self.steps_left -= 1
        if not self.steps_left:
            self._end()

    def _end(self) -> None:
        """Everything goes well from now on, and support replays whatever waits."""
        for identity in moods:
            moods[identity] = WELL
        self.dead_letters_per_minute = 1_000
        self.processes = [self._process(), self._process()]
        for _ in range(60):
            while self.queue:
                assert self.work((0, "well", lambda one: one.handle(self.queue[:10]))) == [True], "no end is in sight"
                self.acknowledge(10)
            self.place.let_retries_be_due()
            self.work((1, "well", Process.retry))
            self.check()
            if not any(self.records.held.values()):
                break
            for identity in self.parked().values():
                self.replay(identity, is_mended=True)
        for name, session in self.sessions.items():
            journal = self.records.journals.get(session, [])
            missing = [
                number
                for number in range(1, self.counts[name] + 1)
                if number not in journal and (session, number) not in self.discarded
            ]
            assert not missing, f"{name}: handled {journal}, and never {missing}"
        assert not any(self.records.held.values()), "a session waits for ever"
        self._check_that_support_knows()

    def _check_that_support_knows(self) -> None:
        """Of each dead letter that was replayed and is handled, the last replay was said to be handled."""
        handled = {(session, number) for session, journal in self.records.journals.items() for number in journal}
        for identity in self.letter_of.keys() & handled - self.discarded:
            identifier = self.letter_of[identity].id
            told = [epoch for (one, epoch) in self.records.outcomes if one == str(identifier)]
            assert len(told) == 1, f"support was told {len(told)} times that {identity[1]} is handled"
