"""Events of one commit share messages, and none overtakes another of its session."""

import pytest
from examples import an_envelope, printable
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime import outbox
from shared_runtime.envelope import BATCH, JSON, Envelope, Incoming, decode
from shared_runtime.outbox import Outgoing, Routed, pack

routes = st.tuples(st.sampled_from(["topic-a", "topic-b"]), st.sampled_from(["x.0", "y.0", "x.1"]))
sessions = st.sampled_from(["s1", "s2", "s3", "s4"])


def events_in(message: Outgoing) -> list[Envelope]:
    events = decode(Incoming(message.body, message.properties.content_type, message.properties.headers))
    assert all(isinstance(event, Envelope) for event in events)
    return [event for event in events if isinstance(event, Envelope)]


@given(st.lists(st.tuples(routes, sessions), max_size=60), st.integers(1, 4))
def test_no_event_overtakes_another_of_its_session(
    recorded: list[tuple[tuple[str, str], str]], most_events: int
) -> None:
    sent = [Routed(exchange, key, an_envelope(session_id=session)) for (exchange, key), session in recorded]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "MAX_EVENTS_PER_MESSAGE", most_events)
        messages = pack(sent)
    # Every event arrives exactly once, on its own route.
    arrived = [(message.exchange, message.routing_key, event) for message in messages for event in events_in(message)]
    assert {(exchange, key, event.id) for exchange, key, event in arrived} == {
        (one.exchange, one.routing_key, one.envelope.id) for one in sent
    }
    assert len(arrived) == len(sent)
    for session in ("s1", "s2", "s3", "s4"):
        assert [event.id for _, _, event in arrived if event.session_id == session] == [
            one.envelope.id for one in sent if one.envelope.session_id == session
        ]
    assert all(len(events_in(message)) <= most_events for message in messages)
    # The relay knows the sessions, and the table gives the messages back in this order.
    assert all(message.sessions == {event.session_id for event in events_in(message)} for message in messages)
    assert [message.id for message in messages] == sorted(message.id for message in messages)


def test_events_of_one_route_share_a_message() -> None:
    sent = [Routed("t", "k", an_envelope(session_id=f"s{number}")) for number in range(100)]
    (message,) = pack(sent)
    assert message.properties.content_type == BATCH
    assert [event.id for event in events_in(message)] == [one.envelope.id for one in sent]


def test_a_single_event_is_a_plain_message() -> None:
    envelope = an_envelope(data=b' {"a": 1} ')
    (message,) = pack([Routed("t", "k", envelope)])
    assert (message.properties.content_type, message.body) == (JSON, b' {"a": 1} ')
    assert message.properties.message_id == str(envelope.id)
    assert message.properties.type == envelope.type
    assert message.properties.correlation_id == envelope.correlation_id


def test_a_message_does_not_grow_without_limit() -> None:
    large = b'"' + b"x" * 25_000 + b'"'
    messages = pack([Routed("t", "k", an_envelope(session_id=f"s{number}", data=large)) for number in range(5)])
    assert [len(events_in(message)) for message in messages] == [2, 2, 1]


def test_nothing_packs_into_nothing() -> None:
    assert pack([]) == []


@given(printable)
def test_any_session_can_be_packed(session: str) -> None:
    (message,) = pack([Routed("t", "k", an_envelope(session_id=session))])
    assert message.sessions == {session}
