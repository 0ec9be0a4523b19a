"""Records of running processes: who runs, so that another process can stop it and never stops somebody else's."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from local_stack.folder import StackFolder, write_private
from local_stack.process_table import is_paused, process_start


@dataclass(frozen=True)
class ProcessRecord:
    """One process that belongs to a stack. The start identifies it: a process id alone is reused after a while."""

    name: str
    pid: int
    start: str
    port: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether this very process still runs (a dead one that nobody collected yet does not)."""
        return process_start(self.pid) == self.start

    @property
    def is_paused(self) -> bool:
        return self.is_running and is_paused(self.pid)


def write_record(folder: StackFolder, record: ProcessRecord) -> None:
    """Put a process on record, instead of an earlier one of the same name."""
    write_private(_path(folder, record.name), json.dumps(asdict(record)))


def remove_record(folder: StackFolder, record: ProcessRecord) -> None:
    """Forget a process that has ended, unless a newer one has taken its name."""
    if read_record(folder, record.name) == record:
        _path(folder, record.name).unlink(missing_ok=True)


def read_record(folder: StackFolder, name: str) -> ProcessRecord | None:
    """The process of this name, which may have ended since, None when there is none on record."""
    try:
        return ProcessRecord(**json.loads(_path(folder, name).read_text()))
    except FileNotFoundError:
        return None


def read_records(folder: StackFolder) -> list[ProcessRecord]:
    """All records, in the order in which the processes were started; those removed meanwhile are left out."""
    started = {path.stem: at for path in folder.records.glob("*.json") if (at := _written_at_ns(path)) is not None}
    records = (read_record(folder, name) for name in sorted(started, key=started.__getitem__))
    return [record for record in records if record is not None]


def _written_at_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _path(folder: StackFolder, name: str) -> Path:
    return folder.records / f"{name}.json"
