"""Properties and headers that RabbitMQ lets through and pamqp does not read.

pamqp raises for a timestamp beyond the year 9999 (one in microseconds is), for text that is not UTF-8, and for whatever
else it finds wrong in a table. aiormq gives the connection up then, and the message comes again on the next one: a
single message would stop all partitions of a service, until the broker's delivery limit sets it aside together with its
neighbours.
"""

from datetime import datetime
from typing import Any

from pamqp import decode

UNREADABLE = "unreadable"
"""The one header of a message whose headers cannot be read: their bytes."""

_LENGTH_BYTES = 4
_TIMESTAMP_BYTES = 8


def read_leniently() -> None:
    """Make every connection of this process read what comes, with gaps where something cannot be read."""
    decode.METHODS.update({"timestamp": _timestamp, "shortstr": _short_text, "table": _table})


def _timestamp(value: bytes) -> tuple[int, datetime | None]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return _TIMESTAMP_BYTES, None


def _short_text(value: bytes) -> tuple[int, str]:
    try:
        return decode.short_str(value)
    except UnicodeDecodeError:
        length = 1 + value[0]
        return length, value[1:length].decode(errors="replace")


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, OSError):
        end = _LENGTH_BYTES + int.from_bytes(value[:_LENGTH_BYTES])
        return end, {UNREADABLE: bytearray(value[_LENGTH_BYTES:end])}
