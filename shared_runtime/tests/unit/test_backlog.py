"""What waits to be published keeps the order of every session, whatever the broker refuses."""

from collections.abc import Callable
from random import Random
from uuid import UUID

from examples import an_envelope
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.backlog import Backlog, Fate, Outcome
from shared_runtime.envelope import BATCH, JSON, Envelope, Incoming, decode, new_id
from shared_runtime.outbox import Outgoing, Properties, Routed, pack

CONFIRMED = Outcome(Fate.CONFIRMED)
REFUSED = Outcome(Fate.REFUSED, "no queue")
UNKNOWN = Outcome(Fate.UNKNOWN, "broken")


def a_message(*sessions: str, route: tuple[str, str] = ("topic", "key")) -> Outgoing:
    """One event of each session."""
    (message,) = pack(Routed(*route, an_envelope(session_id=session)) for session in sessions)
    return message


def a_message_of(body: bytes) -> Outgoing:
    return Outgoing(new_id(), "topic", "key", Properties(JSON, "id"), body, frozenset({"a"}))


def events_in(message: Outgoing) -> list[Envelope]:
    read = decode(Incoming(message.body, message.properties.content_type, message.properties.headers))
    return [event for event in read if isinstance(event, Envelope)]


def a_backlog(*messages: Outgoing, max_messages: int = 100, max_bytes: int = 1_000_000) -> Backlog:
    backlog = Backlog(max_messages=max_messages, max_bytes=max_bytes)
    backlog.add(messages)
    return backlog


def publish(backlog: Backlog, answer: Callable[[Outgoing], Outcome], limit: int = 100) -> list[Outgoing]:
    """One round. Returns the messages that the broker took."""
    messages = backlog.next_round(limit)
    outcomes = [answer(message) for message in messages]
    backlog.settle(outcomes)
    return [message for message, outcome in zip(messages, outcomes, strict=True) if outcome is CONFIRMED]


def test_messages_of_different_sessions_travel_together() -> None:
    messages = [a_message("a"), a_message("b"), a_message("c")]
    backlog = a_backlog(*messages)
    assert backlog.next_round(100) == messages
    assert backlog.next_round(2) == messages[:2]


def test_a_message_waits_for_the_one_before_it_in_its_session() -> None:
    first, second, third = a_message("a", "b"), a_message("b"), a_message("c")
    backlog = a_backlog(first, second, third)
    assert publish(backlog, lambda _: CONFIRMED) == [first]
    assert publish(backlog, lambda _: CONFIRMED) == [second, third]
    assert (backlog.waiting, backlog.room) == (0, 100)


def test_a_refused_message_stops_its_session_and_its_route_and_nothing_else_in_memory() -> None:
    closed, other_route, other_exchange = ("topic", "closed"), ("topic", "open"), ("other", "open")
    refused = a_message("a", route=closed)
    same_route = a_message("b", route=closed)
    same_session = a_message("a", route=other_route)
    free = [a_message("a", route=other_exchange), a_message("d", route=other_route)]
    backlog = a_backlog(refused, same_route, same_session, *free)

    def broker(message: Outgoing) -> Outcome:
        return REFUSED if message.route == closed else CONFIRMED

    taken: list[Outgoing] = []
    while backlog.waiting:
        taken += publish(backlog, broker)
    assert taken == free
    assert (backlog.parked, backlog.refused) == (3, {closed: "no queue"})

    backlog.reopen()
    assert backlog.refused == {closed: "no queue"}, "the route counts as refused until the broker takes a message"
    taken = []
    while backlog.waiting:
        taken += publish(backlog, lambda _: CONFIRMED)
    assert taken == [refused, same_route, same_session]
    assert (backlog.parked, backlog.refused) == (0, {})


def test_a_batch_is_divided_when_some_of_its_sessions_are_stopped() -> None:
    closed, open_route = ("topic", "closed"), ("topic", "open")
    refused, batch, later = a_message("a", route=closed), a_message("a", "b", "c", route=open_route), a_message("b")
    of_a, of_b, of_c = events_in(batch)
    backlog = a_backlog(refused, batch, later)
    assert publish(backlog, lambda _: REFUSED) == []

    others, _ = published = publish(backlog, lambda _: CONFIRMED) + publish(backlog, lambda _: CONFIRMED)
    assert published == [others, later]
    assert events_in(others) == [of_b, of_c]
    assert others.route == open_route
    assert others.id != batch.id, "the row is kept for what still waits"
    assert set(backlog.ids) == {refused.id, batch.id}

    backlog.reopen()
    assert publish(backlog, lambda _: CONFIRMED) == [refused]
    (rest,) = publish(backlog, lambda _: CONFIRMED)
    assert (rest.id, rest.route, events_in(rest)) == (batch.id, open_route, [of_a])
    assert rest.properties.content_type == JSON, "a single event is a plain message"
    assert (backlog.waiting, backlog.parked, backlog.room) == (0, 0, 100)


def test_somebody_elses_batch_is_left_as_it_came() -> None:
    """A dead letter whose body happens to be a batch."""
    batch = a_message("a", "b", route=("dead-letters", "open"))
    refused = a_message("a", route=("dead-letters", "closed"))
    headers = {"deadletter_reason": "too_large"}
    letter = Outgoing(new_id(), *batch.route, Properties(BATCH, "id", headers), batch.body, frozenset("ab"))
    backlog = a_backlog(refused, letter)
    publish(backlog, lambda _: REFUSED)
    assert publish(backlog, lambda _: CONFIRMED) == []
    assert backlog.parked == 2


def test_messages_without_an_answer_come_again_in_their_order() -> None:
    messages = [a_message("a"), a_message("b"), a_message("c")]
    backlog = a_backlog(*messages)
    backlog.next_round(100)
    assert backlog.settle([UNKNOWN, CONFIRMED, UNKNOWN]) == [messages[1].id]
    assert backlog.waiting == 2
    assert backlog.next_round(100) == [messages[0], messages[2]]


def test_a_round_that_nobody_settled_comes_again() -> None:
    messages = [a_message("a"), a_message("b")]
    backlog = a_backlog(*messages)
    assert backlog.next_round(1) == messages[:1]
    assert backlog.waiting == 2
    assert backlog.next_round(100) == messages


def test_a_message_is_in_memory_once() -> None:
    message = a_message("a")
    backlog = a_backlog(message, message)
    backlog.add([message])
    assert publish(backlog, lambda _: CONFIRMED) == [message]
    assert backlog.waiting == 0


def test_memory_is_limited_by_number_and_by_bytes() -> None:
    assert a_backlog(a_message("a"), a_message("b"), max_messages=3).room == 1
    assert a_backlog(a_message_of(b"12345"), max_bytes=5).room == 0
    backlog = a_backlog(a_message_of(b"12345"), a_message_of(b""), max_messages=2, max_bytes=5)
    for _ in range(2):
        publish(backlog, lambda message: CONFIRMED if message.body else REFUSED)
    assert backlog.room == 1, "a parked message takes room, a confirmed one does not"
    assert len(list(backlog.ids)) == 1


messages = st.builds(
    lambda sessions, route: a_message(*sorted(sessions), route=route),
    st.sets(st.sampled_from("abcd"), min_size=1, max_size=3),
    st.tuples(st.sampled_from(["t1", "t2"]), st.sampled_from(["k1", "k2"])),
)


@given(st.lists(messages, max_size=25), st.randoms(use_true_random=False))
def test_no_event_overtakes_another_of_its_session_on_an_exchange(sent: list[Outgoing], chance: Random) -> None:
    """The broker confirms, refuses and breaks at random; messages are added and routes reopened at any time."""
    backlog = a_backlog()
    to_add = list(sent)
    taken: list[Outgoing] = []
    confirmed: list[UUID] = []
    event_of = {one.id: [event.id for event in events_in(one)] for one in sent}
    for _ in range(40):
        count = chance.randint(0, 4)
        backlog.add(to_add[:count])
        del to_add[:count]
        under_way = backlog.next_round(chance.randint(1, 6))
        # The sweeper may reopen while a round is under way.
        if chance.random() < 0.3:
            backlog.reopen()
        outcomes = [chance.choice([CONFIRMED, CONFIRMED, REFUSED, UNKNOWN]) for _ in under_way]
        rows = backlog.settle(outcomes)
        taken += [one for one, outcome in zip(under_way, outcomes, strict=True) if outcome is CONFIRMED]
        out = {event.id for one in taken for event in events_in(one)}
        assert all(out.issuperset(event_of[row]) for row in rows), "a row may go when all of its events are out"
        confirmed += rows
    backlog.add(to_add)
    backlog.reopen()
    while backlog.waiting:
        under_way = backlog.next_round(100)
        confirmed += backlog.settle([CONFIRMED for _ in under_way])
        taken += under_way
    assert (backlog.parked, backlog.room, backlog._bytes) == (0, 100, 0)
    arrived = [(one.exchange, event.session_id, event.id) for one in taken for event in events_in(one)]
    wanted = [(one.exchange, event.session_id, event.id) for one in sent for event in events_in(one)]
    assert sorted(arrived) == sorted(wanted), "each is taken exactly once"
    for exchange in ("t1", "t2"):
        for session in "abcd":
            assert [one for one in arrived if one[:2] == (exchange, session)] == [
                one for one in wanted if one[:2] == (exchange, session)
            ]
    assert sorted(confirmed) == sorted(one.id for one in sent), "each row is confirmed exactly once"


@given(st.lists(messages, max_size=12), st.sampled_from(["k1", "k2"]))
def test_only_sessions_with_something_on_the_closed_route_wait(sent: list[Outgoing], closed: str) -> None:
    backlog = a_backlog(*sent)
    taken: list[Outgoing] = []
    while backlog.waiting:
        taken += publish(backlog, lambda message: REFUSED if message.routing_key == closed else CONFIRMED)
    arrived = [event.id for message in taken for event in events_in(message)]
    for exchange in ("t1", "t2"):
        for session in "abcd":
            own = [
                (message.routing_key, event.id)
                for message in sent
                for event in events_in(message)
                if (message.exchange, event.session_id) == (exchange, session)
            ]
            keys = [key for key, _ in own]
            if closed not in keys:
                assert all(identifier in arrived for _, identifier in own)
            else:
                waits = own[keys.index(closed) :]
                assert not any(identifier in arrived for _, identifier in waits)
