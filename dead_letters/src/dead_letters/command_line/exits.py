"""How the command ends, so that scripts can tell."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses. They are documented in `dlq --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    """Whoever reads the output has enough, as `head`: what the shell calls the end by SIGPIPE."""


EXPLANATION = (
    "Exit status: 0 done; 1 failed, or some of it failed, or nothing was done; 2 wrong usage; 3 not found; "
    "4 refused (not allowed, not in a state for it, not valid); 5 the service cannot be reached; 130 interrupted."
)


class CommandError(Exception):
    """What ends the command. The text is for people."""

    code = ExitCode.FAILED


class Failed(CommandError):
    """It was tried, or declined, and is not done, or not all of it."""


class Misused(CommandError):
    """The command was called in a way that makes no sense."""

    code = ExitCode.USAGE


class NotFound(CommandError):
    """There is no such thing."""

    code = ExitCode.NOT_FOUND


class Refused(CommandError):
    """The service does not do it."""

    code = ExitCode.REFUSED


class Unreachable(CommandError):
    """There is no answer, or none of the service."""

    code = ExitCode.UNREACHABLE


class OutputClosed(CommandError):
    """Nobody reads the output any more."""

    code = ExitCode.OUTPUT_CLOSED
