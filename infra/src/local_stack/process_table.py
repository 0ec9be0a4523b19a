"""What the kernel's process table (/proc) says about processes."""

from contextlib import suppress
from pathlib import Path

_ENDED = {"Z", "X"}
"""States of a process that has ended and only waits to be collected by its parent."""


def process_start(pid: int) -> str | None:
    """Boot and clock tick at which a living process started (with the id: its identity), None when there is none.

    The wall clock would not do: it may be set while the process runs.
    """
    fields = _status_fields(pid)
    if fields is None or fields[0] in _ENDED:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}"


def is_paused(pid: int) -> bool:
    """Whether the process was stopped with SIGSTOP."""
    fields = _status_fields(pid)
    return fields is not None and fields[0] == "T"


def family_of(pid: int) -> list[int]:
    """The process and all its living descendants, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _status_fields(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and fields[0] not in _ENDED:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    family = [pid]
    for member in family:
        family.extend(children.get(member, ()))
    return family


def processes_in(folder: Path, program: Path) -> list[int]:
    """The processes that run this program with this working folder, of those that we may look at."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").samefile(folder) and (entry / "exe").samefile(program):
                found.append(int(entry.name))
    return found


def _status_fields(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third (state) on; the second, a free-form name, is left out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
