"""What a handler puts and publishes counts when it returns, and not before."""

from datetime import datetime

import pytest
from examples import MOMENT, Counted, an_envelope
from msgspec import Struct
from msgspec.structs import replace

from shared_runtime.envelope import MAX_DATA_BYTES, Envelope
from shared_runtime.errors import NotLoaded
from shared_runtime.outbox import routed
from shared_runtime.unit_of_work import Publication, States, UnitOfWork


class Account(Struct, frozen=True):
    owner: str
    cents: int = 0


class Stranger(Struct, frozen=True):
    name: str


def states_with(*accounts: Account, asked_for: str = "") -> States:
    states = States()
    states.declare(Account, [*(account.owner for account in accounts), *([asked_for] if asked_for else [])])
    for account in accounts:
        states.add_loaded(Account, account.owner, account)
    return states


def work_on(states: States) -> UnitOfWork:
    return UnitOfWork(states, {Account: lambda account: account.owner}, an_envelope(), MOMENT)


def test_what_was_loaded_is_there_and_what_does_not_exist_is_none() -> None:
    work = work_on(states_with(Account("ann", 5), asked_for="bob"))
    assert work.get(Account, "ann") == Account("ann", 5)
    assert work.get(Account, "bob") is None


def test_what_was_not_asked_for_cannot_be_had() -> None:
    work = work_on(states_with(Account("ann")))
    with pytest.raises(NotLoaded, match="Account eve"):
        work.get(Account, "eve")
    with pytest.raises(NotLoaded, match="Stranger"):
        work.get(Stranger, "ann")


def test_what_no_store_keeps_cannot_be_put() -> None:
    with pytest.raises(NotLoaded, match="no store keeps Stranger"):
        work_on(states_with()).put(Stranger("x"))


def test_a_message_sees_what_it_put_and_others_only_what_was_accepted() -> None:
    states = states_with(Account("ann", 5))
    work, other = work_on(states), work_on(states)
    work.put(Account("ann", 6))
    work.put(Account("new", 1))
    assert work.get(Account, "ann") == Account("ann", 6)
    assert other.get(Account, "ann") == Account("ann", 5)
    with pytest.raises(NotLoaded):
        other.get(Account, "new")
    work.accept()
    assert other.get(Account, "ann") == Account("ann", 6)
    assert other.get(Account, "new") == Account("new", 1)
    assert states.changed == {Account: {"ann": Account("ann", 6), "new": Account("new", 1)}}


def test_what_was_not_accepted_changes_nothing() -> None:
    states = states_with(Account("ann", 5))
    work = work_on(states)
    work.put(Account("ann", 6))
    work.publish(Counted(session_id="ann"))
    assert states.changed == {}
    assert work_on(states).get(Account, "ann") == Account("ann", 5)


def test_what_was_loaded_is_kept_beside_what_changed() -> None:
    states = states_with(Account("ann"), asked_for="bob")
    work = work_on(states)
    for owner in ("ann", "bob", "eve"):
        work.put(replace(Account(owner), cents=1))
    work.accept()
    assert states.known == {Account: {"ann": Account("ann")}}
    assert set(states.changed[Account]) == {"ann", "bob", "eve"}


def test_the_last_put_of_a_key_counts() -> None:
    states = states_with(Account("ann"))
    work = work_on(states)
    work.put(Account("ann", 1))
    work.put(Account("ann", 2))
    work.accept()
    assert states.changed == {Account: {"ann": Account("ann", 2)}}


def test_an_expiry_needs_its_time_zone() -> None:
    work = work_on(states_with())
    with pytest.raises(ValueError, match="time zone"):
        work.publish(Counted(session_id="a"), expires_at=datetime(2026, 1, 1))


def test_a_flow_has_to_be_one() -> None:
    work = work_on(states_with())
    with pytest.raises(ValueError, match="correlation id"):
        work.publish(Counted(session_id="a"), correlation_id="line\n")


def an_event_of(message: Counted, **changes: object):
    settings = {"source": "/s", "traceparent": None, "now": MOMENT, "partitions": 4, "cause": an_envelope()}
    return routed(Publication(message), **settings | changes)  # type: ignore[arg-type]


def test_an_event_carries_on_the_flow_of_its_cause() -> None:
    cause = an_envelope(correlation_id="flow-9")
    event = an_event_of(Counted(session_id="session-1", number=7), cause=cause, traceparent="trace")
    assert (event.exchange, event.routing_key) == ("delivery-events", "tests.counted.v1.2")
    envelope = event.envelope
    assert (envelope.correlation_id, envelope.causation_id, envelope.traceparent) == ("flow-9", str(cause.id), "trace")
    assert (envelope.session_id, envelope.subject, envelope.time) == ("session-1", "session-1", MOMENT)
    assert bytes(envelope.data) == b'{"session_id":"session-1","number":7}'


def test_an_event_can_move_another_flow_on() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    other = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    later = "00-0af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"
    publication = Publication(Counted(session_id="s"), correlation_id="flow-2", traceparent=trace)

    def event(traceparent: str | None) -> Envelope:
        cause = an_envelope(correlation_id="flow-9")
        return routed(publication, cause=cause, source="/s", traceparent=traceparent, now=MOMENT, partitions=4).envelope

    assert event(None).correlation_id == "flow-2"
    assert [event(step).traceparent for step in (None, other, later)] == [trace, trace, later]


def test_an_event_without_a_flow_begins_one() -> None:
    assert an_event_of(Counted(session_id="s"), cause=an_envelope(correlation_id="")).envelope.correlation_id == "s"


@pytest.mark.parametrize("session_id", ["", "ä", "a" * 129, "line\n"])
def test_an_event_that_no_consumer_would_read_is_refused_at_its_source(session_id: str) -> None:
    with pytest.raises(ValueError, match="no session id"):
        an_event_of(Counted(session_id=session_id))


def test_an_event_that_no_consumer_would_take_is_refused_at_its_source() -> None:
    class Large(Counted):
        text: str

    with pytest.raises(ValueError, match="bytes"):
        an_event_of(Large(session_id="s", text="x" * MAX_DATA_BYTES))
