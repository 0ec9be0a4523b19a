"""What processes use: processor time and memory, as the kernel counts them."""

import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from local_stack.part import Part
from local_stack.process_table import family_of

TICKS_PER_S = 100
_KIB_PER_MIB = 1024
_FORGET_PEAK = "5"
"""What resets VmHWM when it is written to /proc/<pid>/clear_refs (proc_pid_clear_refs(5))."""


def cpu_ms(parts: Sequence[Part]) -> Counter[str]:
    """CPU milliseconds that each part has used so far, with the processes it started, those that ended included."""
    used: Counter[str] = Counter()
    for name, _, fields in _processes(parts):
        # Their own in user and in system mode, and that of their children that have ended (proc_pid_stat(5)).
        used[name] += sum(map(int, fields[11:15])) * 1000 // TICKS_PER_S
    return used


def waited_ms(parts: Sequence[Part]) -> dict[str, float]:
    """Milliseconds that the threads of each part were ready to run so far, and other threads ran."""
    waited: dict[str, float] = {part.name: 0.0 for part in parts}
    for name, folder, _ in _processes(parts):
        # It may end while this looks.
        with suppress(OSError):
            for file in folder.glob("task/*/schedstat"):
                waited[name] += int(file.read_text().split()[1]) / 1e6
    return waited


def _processes(parts: Sequence[Part]) -> Iterator[tuple[str, Path, list[str]]]:
    """The processes of the parts: whose, where the kernel tells of it, and what it says in `stat` behind the name."""
    leaders = {part.process.record.pid: part.name for part in parts}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parent, session = int(fields[1]), int(fields[3])
        name = leaders.get(int(file.parent.name)) or leaders.get(session) or leaders.get(parent)
        if name is not None:
            yield name, file.parent, fields


def machine_cpu_ms() -> int:
    """CPU milliseconds of everything that runs on this machine, and what its host gave to others ("stolen")."""
    user, nice, system, _, _, interrupt, soft_interrupt, stolen, *_ = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + interrupt + soft_interrupt + stolen) * 1000 // TICKS_PER_S


def load_cpu_ms() -> float:
    """CPU milliseconds of all loads that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e3


def resident_mib(part: Part) -> float:
    """MiB of memory that the part's processes have in use. What they share counts once for each of them."""
    return round(sum(_each_mib(part, "status", "VmRSS")), 1)


def proportional_mib(part: Part) -> float:
    """MiB of memory that the part's processes have in use. What several of them share counts once altogether."""
    return round(sum(_each_mib(part, "smaps_rollup", "Pss")), 1)


def largest_mib(part: Part) -> float:
    """MiB of memory that the largest of the part's processes has in use, all included that it shares with others."""
    return round(max(_each_mib(part, "status", "VmRSS"), default=0.0), 1)


def peak_mib(part: Part) -> float:
    """The most MiB that the part's processes had in use since `forget_peak`, or since their start."""
    return round(sum(_each_mib(part, "status", "VmHWM")), 1)


def forget_peak(part: Part) -> None:
    """Let the peak begin at what is in use now."""
    for pid in family_of(part.process.record.pid):
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)


def _each_mib(part: Part, file: str, name: str) -> Iterator[float]:
    for pid in family_of(part.process.record.pid):
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            # It has ended since it was listed.
            continue
        yield sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / _KIB_PER_MIB
