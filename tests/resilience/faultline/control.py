"""How the driver of a trial and the instrumented processes talk: through files in one folder."""

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FOLDER_VARIABLE = "FAULTLINE_FOLDER"
PROCESS_VARIABLE = "FAULTLINE_PROCESS"

RAISES_PREFIX = "dead0000-0000-4000-8000-aaaa"
"""Handlers of an instrumented process raise at every message of such a session."""
KILLS_PREFIX = "dead0000-0000-4000-8000-bbbb"
"""An instrumented process dies of every message of such a session."""
POISON_PREFIX = "dead0000-"
"""All sessions that only poisoned messages have."""


class FailPoint(StrEnum):
    """Where an instrumented process can be made to die."""

    BEFORE_COMMIT = "before-commit"
    """The handlers have run, the transaction is open."""
    COMMIT_TO_PUBLISH = "commit-to-publish"
    """Committed; nothing of the outbox has been published."""
    PUBLISH_TO_MARK = "publish-to-mark"
    """The broker has confirmed; the outbox rows are still there."""
    COMMIT_TO_ACKNOWLEDGE = "commit-to-acknowledge"
    """Committed; the messages are not acknowledged."""
    IN_A_COMPENSATION = "in-a-compensation"
    """A handler that undoes a part of a failed delivery has run, the transaction is open."""


@dataclass(frozen=True)
class ControlFolder:
    """The files. Everything is by process name, as the stack calls it."""

    root: Path

    def create(self) -> None:
        """Make the folders."""
        for folder in (self.armed, self.fired, self.skews, self.handlers):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def armed(self) -> Path:
        return self.root / "armed"

    @property
    def fired(self) -> Path:
        return self.root / "fired"

    @property
    def skews(self) -> Path:
        return self.root / "skews"

    @property
    def handlers(self) -> Path:
        return self.root / "handlers"

    @property
    def cured(self) -> Path:
        """While this file is there, poison does no harm: the cause is mended."""
        return self.root / "cured"

    def afflict(self, subscription: str, modulus: int, remainder: int) -> None:
        """Let the handlers of the subscription raise for every so-and-so-many-th session."""
        draft = self.root / "afflicted.draft"
        draft.write_text(json.dumps([subscription, modulus, remainder]))
        draft.rename(self.afflicted)

    @property
    def afflicted(self) -> Path:
        return self.root / "afflicted"

    @property
    def forgets_outbox(self) -> Path:
        """While this file is there, processes that start keep no outbox: the negative control."""
        return self.root / "forgets-outbox"

    def arm(self, process: str, point: FailPoint, skip: int) -> None:
        """Let the process die when it comes to the point, after it came there `skip` times."""
        draft = self.root / f"{process}.{point}.draft"
        draft.write_text(str(skip))
        draft.rename(self.armed / f"{process}.{point}")

    def disarm(self, point: FailPoint) -> None:
        """Nobody is to die at the point any more."""
        for path in self.armed.glob(f"*.{point}"):
            path.unlink(missing_ok=True)

    def has_fired(self, process: str, point: FailPoint) -> bool:
        return (self.fired / f"{process}.{point}").exists()

    def skew(self, process: str, seconds: float) -> None:
        """Let the process believe that it is so many seconds later than it is."""
        draft = self.root / f"{process}.skew"
        draft.write_text(str(seconds))
        draft.rename(self.skews / process)

    def journal(self, process: str) -> Path:
        """Where the process notes what its handlers do."""
        return self.handlers / f"{process}.jsonl"

    @classmethod
    def of_environment(cls) -> tuple["ControlFolder", str]:
        """The folder and the name of the calling process."""
        return cls(Path(os.environ[FOLDER_VARIABLE])), os.environ[PROCESS_VARIABLE]
