"""The limit of dead letters and the relay's backlog against models that are too simple to be wrong."""

from uuid import UUID

import pytest
from examples import an_envelope
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from shared_runtime.backlog import Backlog, Fate, Outcome
from shared_runtime.dead_letter_limit import DeadLetterLimit
from shared_runtime.envelope import Envelope, Incoming, decode
from shared_runtime.errors import SubscriptionPaused
from shared_runtime.outbox import Outgoing, Routed, pack

PER_MINUTE = 6


class Limit(RuleBasedStateMachine):
    """In no stretch of time are there more dead letters than a minute's worth and what the time is worth."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.limit = DeadLetterLimit("tests.stateful", PER_MINUTE, clock=lambda: self.now_s)
        self.letters: list[float] = []

    @rule(count=st.integers(1, PER_MINUTE + 1))
    def batch_fails(self, count: int) -> None:
        try:
            self.limit.require(count)
        except SubscriptionPaused:
            assert (self.limit.trouble is not None) or count > 1
        else:
            assert self.limit.trouble is None
            self.limit.take(count)
            self.letters += [self.now_s] * count

    @rule(seconds=st.sampled_from([1, 9, 10, 60, 3_600]))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @rule()
    def a_minute_is_waited(self) -> None:
        """After which there is room for whatever a minute may bring."""
        self.now_s += 60
        self.limit.require(PER_MINUTE)

    @invariant()
    def no_stretch_has_too_many(self) -> None:
        for first, since in enumerate(self.letters):
            for last, until in enumerate(self.letters[first:], 1):
                assert last <= PER_MINUTE * (1 + (until - since) / 60) + 1e-6


class Publishing(RuleBasedStateMachine):
    """A table of rows, a backlog that may be lost with its process, and a broker that has its own mind."""

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[UUID, Outgoing] = {}
        self.backlog = Backlog(max_messages=1_000, max_bytes=10_000_000)
        self.created: list[tuple[str, str, UUID]] = []
        self.arrived: dict[UUID, tuple[str, str, UUID]] = {}

    @rule(events=st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from("kl"), st.sampled_from("abc")), min_size=1))
    def transaction_commits(self, events: list[tuple[str, str, str]]) -> None:
        """Of each event: exchange, routing key, session."""
        routed = [Routed(exchange, key, an_envelope(session_id=session)) for exchange, key, session in events]
        rows = pack(routed)
        self.created += [(one.exchange, one.envelope.session_id, one.envelope.id) for one in routed]
        self.table |= {row.id: row for row in rows}
        self.backlog.add(rows)

    @precondition(lambda self: self.backlog.waiting)
    @rule(
        limit=st.integers(1, 5),
        answers=st.lists(
            st.sampled_from(["confirms", "refuses", "takes and does not say", "hears nothing"]), min_size=1
        ),
        is_reopened=st.booleans(),
    )
    def broker_is_given_a_round(self, limit: int, answers: list[str], is_reopened: bool) -> None:
        under_way = self.backlog.next_round(limit)
        if is_reopened:
            self.backlog.reopen()
        outcomes = []
        for number, message in enumerate(under_way):
            answer = answers[number % len(answers)]
            if answer in {"confirms", "takes and does not say"}:
                self.arrive(message)
            fates = {"confirms": Fate.CONFIRMED, "refuses": Fate.REFUSED}
            outcomes.append(Outcome(fates.get(answer, Fate.UNKNOWN), answer))
        for row in self.backlog.settle(outcomes):
            del self.table[row]

    @rule()
    def route_is_tried_again(self) -> None:
        self.backlog.reopen()

    @rule()
    def process_dies_and_the_next_reads_the_table(self) -> None:
        self.backlog = Backlog(max_messages=1_000, max_bytes=10_000_000)
        self.backlog.add(row for _, row in sorted(self.table.items()))

    def arrive(self, message: Outgoing) -> None:
        read = decode(Incoming(message.body, message.properties.content_type, message.properties.headers))
        for event in read:
            assert isinstance(event, Envelope)
            self.arrived.setdefault(event.id, (message.exchange, event.session_id, event.id))

    @invariant()
    def nothing_overtakes_another_of_its_session_and_exchange(self) -> None:
        for place in {one[:2] for one in self.created}:
            wanted = [one for one in self.created if one[:2] == place]
            came = [one for one in self.arrived.values() if one[:2] == place]
            assert came == wanted[: len(came)], f"{place}: one has overtaken another"

    @invariant()
    def rows_are_deleted_when_all_of_them_has_arrived(self) -> None:
        kept = {event.id for row in self.table.values() for event in _events(row)}
        assert all(one[2] in self.arrived or one[2] in kept for one in self.created), "an event is lost"

    def teardown(self) -> None:
        self.backlog.reopen()
        while self.backlog.waiting:
            under_way = self.backlog.next_round(100)
            for message in under_way:
                self.arrive(message)
            for row in self.backlog.settle([Outcome(Fate.CONFIRMED)] * len(under_way)):
                del self.table[row]
        assert self.table == {}
        assert len(self.arrived) == len(self.created)


def _events(row: Outgoing) -> list[Envelope]:
    read = decode(Incoming(row.body, row.properties.content_type, row.properties.headers))
    return [event for event in read if isinstance(event, Envelope)]


TestLimit = Limit.TestCase
TestLimit.settings = settings(stateful_step_count=30)
TestPublishing = Publishing.TestCase
TestPublishing.settings = settings(stateful_step_count=30)


def test_a_backlog_that_closes_no_route_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backlog, "_stopped_in", lambda *_: None)
    bounded = settings(max_examples=500, phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match="overtaken") as found:
        run_state_machine_as_test(seed(1)(type("Broken", (Publishing,), {})), settings=bounded)
    assert "broker_is_given_a_round(" in "\n".join(found.value.__notes__)
