"""Where the states are kept, in the order in which every transaction locks them."""

from dead_letters.domain.audit import AuditEntry
from dead_letters.domain.bulk import BulkItem, BulkReplay
from dead_letters.domain.dead_letter import DeadLetter, Failure, Replay, Version
from dead_letters.tables import (
    AuditEntryRow,
    BulkItemRow,
    BulkReplayRow,
    DeadLetterRow,
    FailureRow,
    ReplayRow,
    VersionRow,
)
from shared_runtime import RowStore

REPLAYS = RowStore(Replay, ReplayRow)
BULK_REPLAYS = RowStore(BulkReplay, BulkReplayRow)
BULK_ITEMS = RowStore(BulkItem, BulkItemRow)
DEAD_LETTERS = RowStore(DeadLetter, DeadLetterRow)
VERSIONS = RowStore(Version, VersionRow)
FAILURES = RowStore(Failure, FailureRow)
AUDIT_ENTRIES = RowStore(AuditEntry, AuditEntryRow)
