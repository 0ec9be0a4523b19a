"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dead_letters.command_line.exits import Failed


@contextmanager
def write_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end of the block, and leaves nothing if that fails.

    Raises Failed when it cannot be written. What is no ordinary file, such as /dev/null, is written to as it is.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with tempfile.NamedTemporaryFile(dir=path.resolve().parent, prefix=f".{path.name}.", delete=False) as file:
            part = Path(file.name)
            try:
                yield file  # type: ignore[misc]
                file.flush()
                part.chmod(0o666 & ~_umask())
                part.replace(path.resolve())
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    # There is no way to only read it.
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
