"""A text in the person's own editor."""

import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dead_letters.command_line.exits import Failed, Misused

FALLBACKS = ("sensible-editor", "nano", "vi")


@dataclass(frozen=True)
class Draft:
    """A file that somebody has edited. It is theirs alone to read."""

    path: Path

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def drop(self) -> None:
        """It is not needed any more."""
        self.path.unlink(missing_ok=True)


def edited(content: bytes, name: str, suffix: str) -> Draft:
    """What the editor makes of the content. Raises Misused without an editor, Failed when it fails."""
    words = _editor()
    with tempfile.NamedTemporaryFile(prefix=f"{name}-", suffix=suffix, delete=False) as file:
        file.write(content)
    draft = Draft(Path(file.name))
    try:
        status = subprocess.run([*words, str(draft.path)], check=False).returncode  # noqa: S603 - the person's choice
    except OSError as error:
        draft.drop()
        raise Misused(f"the editor {words[0]!r} cannot be started: {error.strerror}") from None
    if status:
        draft.drop()
        raise Failed(f"the editor ended with status {status}: nothing was done")
    return draft


def _editor() -> list[str]:
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR") or next(filter(shutil.which, FALLBACKS), "")
    try:
        words = shlex.split(chosen)
    except ValueError:
        words = []
    if not words:
        raise Misused("say with EDITOR which editor to open, or use --from-file or --set")
    return words
