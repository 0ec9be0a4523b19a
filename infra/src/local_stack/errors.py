"""What can go wrong while the stack starts or stops, in words for the person at the terminal."""

from pathlib import Path

_TAIL_BYTES = 20_000
_LINE_LENGTH = 400


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""


class AlreadyUpError(StackError):
    """Another process runs a stack in this data folder."""


class ProcessDiedError(StackError):
    """A process of the stack ended although it was needed."""


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log file, long ones cut, or a remark when there are none."""
    try:
        content = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    except FileNotFoundError:
        content = ""
    return "\n".join(line[:_LINE_LENGTH] for line in content.splitlines()[-lines:]) or "(nothing was logged)"
