"""What waits to be published keeps the order of every session, whatever the broker refuses."""

from collections.abc import Callable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.backlog import Backlog, Fate, Outcome
from shared_runtime.envelope import JSON, new_id
from shared_runtime.outbox import Outgoing, Properties

CONFIRMED = Outcome(Fate.CONFIRMED)
REFUSED = Outcome(Fate.REFUSED, "no queue")
UNKNOWN = Outcome(Fate.UNKNOWN, "broken")


def a_message(*sessions: str, route: tuple[str, str] = ("topic", "key"), body: bytes = b"") -> Outgoing:
    return Outgoing(new_id(), *route, Properties(JSON, "id"), body, frozenset(sessions))


def a_backlog(*messages: Outgoing, max_messages: int = 100, max_bytes: int = 1_000_000) -> Backlog:
    backlog = Backlog(max_messages=max_messages, max_bytes=max_bytes)
    backlog.add(messages)
    return backlog


def publish(backlog: Backlog, answer: Callable[[Outgoing], Outcome], limit: int = 100) -> list[Outgoing]:
    """One round. Returns the messages that the broker took."""
    messages = backlog.next_round(limit)
    confirmed = set(backlog.settle([answer(message) for message in messages]))
    return [message for message in messages if message.id in confirmed]


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


def test_a_refused_message_stops_its_session_and_its_route_and_nothing_else() -> None:
    closed, other_route, other_exchange = ("topic", "closed"), ("topic", "open"), ("other", "open")
    refused = a_message("a", route=closed)
    same_route = a_message("b", route=closed)
    same_session = a_message("a", route=other_route)
    behind_that = a_message("a", "c", route=other_route)
    behind_that_one = a_message("c", route=other_route)
    free = [a_message("a", route=other_exchange), a_message("d", route=other_route)]
    backlog = a_backlog(refused, same_route, same_session, behind_that, behind_that_one, *free)

    def broker(message: Outgoing) -> Outcome:
        return REFUSED if message.route == closed else CONFIRMED

    taken: list[Outgoing] = []
    while backlog.waiting:
        taken += publish(backlog, broker)
    assert taken == free
    assert (backlog.parked, backlog.refused) == (5, {closed: "no queue"})

    backlog.reopen()
    assert backlog.refused == {closed: "no queue"}, "the route counts as refused until the broker takes a message"
    taken = []
    while backlog.waiting:
        taken += publish(backlog, lambda _: CONFIRMED)
    assert taken == [refused, same_route, same_session, behind_that, behind_that_one]
    assert (backlog.parked, backlog.refused) == (0, {})


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
    assert a_backlog(a_message("a", body=b"12345"), max_bytes=5).room == 0
    backlog = a_backlog(a_message("a", body=b"12345"), a_message("b"), max_messages=2, max_bytes=5)
    publish(backlog, lambda message: CONFIRMED if message.body else REFUSED)
    assert backlog.room == 1, "a parked message takes room, a confirmed one does not"
    assert len(list(backlog.ids)) == 1


messages = st.builds(
    lambda sessions, route: a_message(*sessions, route=route),
    st.sets(st.sampled_from("abcd"), min_size=1, max_size=2),
    st.tuples(st.sampled_from(["t1", "t2"]), st.sampled_from(["k1", "k2"])),
)


@given(st.lists(messages, max_size=25), st.randoms(use_true_random=False))
def test_no_message_overtakes_another_of_its_session_on_an_exchange(sent: list[Outgoing], chance: Random) -> None:
    """The broker confirms, refuses and breaks at random; messages are added and routes reopened at any time."""
    backlog = a_backlog()
    to_add = list(sent)
    taken: list[Outgoing] = []
    for _ in range(40):
        count = chance.randint(0, 4)
        backlog.add(to_add[:count])
        del to_add[:count]
        under_way = backlog.next_round(chance.randint(1, 6))
        # The sweeper may reopen while a round is under way.
        if chance.random() < 0.3:
            backlog.reopen()
        outcomes = [chance.choice([CONFIRMED, CONFIRMED, REFUSED, UNKNOWN]) for _ in under_way]
        backlog.settle(outcomes)
        taken += [one for one, outcome in zip(under_way, outcomes, strict=True) if outcome is CONFIRMED]
    backlog.add(to_add)
    backlog.reopen()
    while backlog.waiting:
        taken += publish(backlog, lambda _: CONFIRMED)
    assert sorted(one.id for one in taken) == sorted(one.id for one in sent), "each is taken exactly once"
    for exchange in ("t1", "t2"):
        for session in "abcd":
            concerned = [one.id for one in sent if one.exchange == exchange and session in one.sessions]
            assert [one.id for one in taken if one.id in concerned] == concerned
