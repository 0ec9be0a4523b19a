"""What happened in a trial, as JSON lines: the only thing, beside the final dumps, that the checker gets to see."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Phase(StrEnum):
    """How far a client's operation got, in Jepsen's words."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    """It certainly did not happen."""
    UNKNOWN = "unknown"
    """There was no answer: it may have happened."""


class Operation(msgspec.Struct, frozen=True, kw_only=True, tag="operation"):
    """Something that a client asked for over HTTP, or the answer to it."""

    at: float
    """Seconds of the machine's monotonic clock, the same for all processes."""
    phase: Phase
    action: str
    owner: str
    key: str = ""
    """The idempotency key."""
    delivery_id: str | None = None
    detail: str = ""


class FaultEvent(msgspec.Struct, frozen=True, kw_only=True, tag="fault"):
    """A fault begins or ends."""

    at: float
    fault: str
    event: str
    """`inject`, `injected`, `heal` or `healed`."""


class Proof(msgspec.Struct, frozen=True, kw_only=True, tag="proof"):
    """What shows that a fault was really there."""

    fault: str
    evidence: str = ""
    """Empty when there is nothing that shows it."""


class Recovery(msgspec.Struct, frozen=True, kw_only=True, tag="recovery"):
    """How long after the last heal it took until everything went on. None: it did not within the limit."""

    limit_s: float
    consumers_s: float | None
    """Until every queue had its consumer."""
    progress_s: float | None
    """Until a delivery that was asked for after the heal was scheduled."""
    missing: list[str] = []
    """Queues that were without a consumer when the limit was over."""


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One message in its handler."""

    message_id: str
    epoch: int
    kind: str
    session: str
    begun_at: float


class Outcome(StrEnum):
    """What a process knows of a transaction of its own."""

    COMMITTED = "committed"
    UNKNOWN = "unknown"
    """The process died, or the answer to the commit was lost."""


class Batch(msgspec.Struct, frozen=True, kw_only=True, tag="batch"):
    """Messages that one process handled in one transaction."""

    process: str
    pid: int
    number: int
    subscription: str
    calls: list[Call]
    """Those whose handlers returned, in their order."""
    commit_at: float
    """When the commit was asked for; the transaction held its locks until then at least."""
    outcome: Outcome
    duplicates: list[str] = []
    """Messages that the inbox knew already."""


class Published(msgspec.Struct, frozen=True, kw_only=True, tag="published"):
    """An event that a committed transaction recorded for publication, in the order of the commits per session."""

    service: str
    position: int
    message_id: str
    kind: str
    session: str
    drone_id: str | None = None
    told: str | None = None
    """What a notification is about: the wish to be told, and the stage."""


class Change(msgspec.Struct, frozen=True, kw_only=True, tag="change"):
    """A row as a committed transaction left it, noted by a trigger of the trial's own."""

    service: str
    position: int
    transaction: str
    table: str
    key: str
    status: str
    drone_id: str | None = None


class Repair(msgspec.Struct, frozen=True, kw_only=True, tag="repair"):
    """A dead letter that support has dealt with, and what replaying it once more came to."""

    dead_letter_id: str
    state: str
    second_status: int
    """The answer to the second replay."""
    changed: bool
    """Whether the second replay changed anything."""


Record = Operation | FaultEvent | Proof | Recovery | Batch | Published | Change | Repair


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was set aside during the trial, and where it stands."""

    dead_letter_id: str
    subscription: str
    message_id: str | None
    session: str | None
    kind: str | None
    reason: str
    """Of its last failure."""
    state: str
    """`open`, `replaying`, `resolved` or `discarded`."""


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """Databases and queues when the trial was over. Rows are those of the trial's own requests."""

    requests: list[dict[str, Any]] = []
    deliveries: list[dict[str, Any]] = []
    packages: list[dict[str, Any]] = []
    bookings: list[dict[str, Any]] = []
    wishes: list[dict[str, Any]] = []
    """Wishes to be told of a stage."""
    drones: list[dict[str, Any]] = []
    inbox: list[tuple[str, str, int]] = []
    """Subscription, message and epoch, of the messages whose batches ended with an unknown outcome."""
    outbox: dict[str, int] = {}
    held: list[dict[str, Any]] = []
    suspects: dict[str, int] = {}
    queues: dict[str, int | None] = {}
    """Messages by queue; None when the queue is not there."""
    dead_letters: list[DeadLetter] = []


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the trial itself put into the system and must find again."""

    poison: dict[str, str] = {}
    """The reason that each poisoned message is to be set aside for, by its session; "" for one without."""
    afflicted: list[str] = []
    """Subscriptions whose handlers were broken for some sessions."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged."""

    history: list[Record]
    final: Final
    expected: Expected = Expected()

    def of(self, kind: type[T]) -> list[T]:
        """The records of one kind, in their order."""
        return [record for record in self.history if isinstance(record, kind)]


def write_history(path: Path, records: Iterable[Record]) -> None:
    """One JSON object per line."""
    with path.open("wb") as file:
        for record in records:
            file.write(msgspec.json.encode(record) + b"\n")


def read_trial(folder: Path) -> Trial:
    """What `write_trial` wrote, to judge it again."""
    decoder = msgspec.json.Decoder(Record)
    lines = (folder / "history.jsonl").read_bytes().splitlines()
    return Trial(
        history=[decoder.decode(line) for line in lines],
        final=msgspec.json.decode((folder / "final.json").read_bytes(), type=Final),
        expected=msgspec.json.decode((folder / "expected.json").read_bytes(), type=Expected),
    )


def write_trial(folder: Path, trial: Trial) -> None:
    """Keep a trial: its history as JSON lines, and the dumps."""
    folder.mkdir(parents=True, exist_ok=True)
    write_history(folder / "history.jsonl", trial.history)
    (folder / "final.json").write_bytes(msgspec.json.encode(trial.final))
    (folder / "expected.json").write_bytes(msgspec.json.encode(trial.expected))
