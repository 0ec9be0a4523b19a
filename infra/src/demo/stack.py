"""The stack that the demo runs on: its own local processes, or one that runs already."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from demo.endpoints import StackEndpoints
from local_stack.errors import StackError
from local_stack.folder import StackFolder, alone_in
from local_stack.records import read_records
from local_stack.stack import LocalStack


class StackKind(StrEnum):
    """Where the suite runs."""

    LOCAL = "local"
    """Processes that the demo starts and stops, with data of their own."""
    COMPOSE = "compose"
    """A stack that is up; the environment says where, see StackEndpoints."""


@contextmanager
def fresh_stack(folder: Path) -> Iterator[StackEndpoints]:
    """A stack without any data, stopped at the end. Its logs stay in the folder.

    Raises StackError when a demo runs in the folder already or when a part does not start.
    """
    with alone_in(folder, "a demo"):
        remove_stack(folder)
        with LocalStack(folder) as stack:
            yield StackEndpoints.of(stack)


def remove_stack(folder: Path) -> None:
    """Remove what an earlier demo left. Raises StackError when it still runs."""
    if not folder.exists():
        return
    running = [record.name for record in read_records(StackFolder(folder)) if record.is_running]
    if running:
        raise StackError(f"a demo runs in {folder} already ({', '.join(running)})")
    shutil.rmtree(folder)


def running_stack() -> StackEndpoints:
    """The stack that the environment tells of. Raises StackError with what is missing."""
    try:
        return StackEndpoints()
    except ValidationError as error:
        missing = ", ".join(str(one["loc"][0]).upper() for one in error.errors())
        raise StackError(f"set {missing} (or put them as files into the folder that SECRETS_FOLDER names)") from None
