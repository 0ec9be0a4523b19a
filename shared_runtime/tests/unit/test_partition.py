"""Every publisher and every consumer finds the same queue for a session, now and in ten years."""

from collections import Counter
from uuid import UUID

from examples import printable
from hypothesis import given
from hypothesis import strategies as st

from shared_runtime.partition import partition_of


def test_partitions_are_those_that_queues_were_filled_by() -> None:
    # Were one of these to change, messages of one session would be in two queues during an upgrade.
    known = {"": 0, "a": 3, "session-1": 2, "0af76519-16cd-43dd-8448-eb211c80319c": 3}
    assert {session: partition_of(session, 4) for session in known} == known
    assert partition_of("session-1", 7) == 0


@given(printable, st.integers(1, 64))
def test_a_partition_is_one_of_those_there_are(session: str, partitions: int) -> None:
    assert 0 <= partition_of(session, partitions) < partitions
    assert partition_of(session, partitions) == partition_of(session, partitions)


def test_sessions_spread_evenly() -> None:
    counts = Counter(partition_of(str(UUID(int=number << 64 | 7)), 4) for number in range(4_000))
    assert all(900 < counts[partition] < 1_100 for partition in range(4)), counts
