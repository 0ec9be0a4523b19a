"""Which of a subscription's queues a session belongs to."""

from zlib import crc32


def hash_of(session_id: str) -> int:
    """A number of 32 bits with sign, as PostgreSQL's integers are."""
    return crc32(session_id.encode()) - 2**31


def partition_of(session_id: str, partitions: int) -> int:
    """The partition, from 0 to `partitions` - 1, that every message of the session travels through.

    Computed here and not by a consistent-hash exchange, because that one moves keys when the broker restarts.
    """
    return crc32(session_id.encode()) % partitions
