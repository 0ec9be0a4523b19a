"""Where things are written: what was asked for to standard output, all else to standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console, RenderableType

from dead_letters.command_line.exits import Failed, OutputClosed
from dead_letters.command_line.text import harmless, safe_json

WIDTH_WITHOUT_TERMINAL = 1_000
"""Lines that a program reads are not cut."""


def console_for(file: TextIO) -> Console:
    """Plain text stays plain: nothing in it is taken for markup, an emoji, or something to highlight."""
    width = None if file.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


class Output:
    """Either JSON or something for people, and never both."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.stderr = console_for(sys.stderr)

    def result(self, document: Any, view: Callable[[Any], RenderableType]) -> None:
        """What the command was called for."""
        if self.as_json:
            self._write(f"{as_json_text(document, indent=2)}\n")
        else:
            self._show(view(document))

    def part(self, document: Any, view: Callable[[Any], RenderableType]) -> None:
        """One of many results, which are written as they come: with JSON, a line each."""
        if self.as_json:
            self._write(f"{as_json_text(document)}\n")
        else:
            self._show(view(document))

    def content(self, content: bytes) -> None:
        """Bytes as they are; on a terminal, with what it would act upon made harmless."""
        if sys.stdout.isatty():
            text = harmless(content.decode(errors="backslashreplace"))
            self._write(text if text.endswith("\n") else f"{text}\n")
            return
        with _reader():
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """What people may want to know besides the result."""
        self.stderr.print(harmless(text), soft_wrap=True)

    def _show(self, renderable: RenderableType) -> None:
        console = console_for(sys.stdout)
        if console.is_terminal:
            with _reader():
                console.print(renderable)
                sys.stdout.flush()
            return
        with console.capture() as capture:
            console.print(renderable)
        # Tables fill their lines up to the width, which only a terminal has.
        self._write("".join(f"{line.rstrip(' ')}\n" for line in capture.get().removesuffix("\n").split("\n")))

    def _write(self, text: str) -> None:
        with _reader():
            sys.stdout.write(text)
            sys.stdout.flush()


def as_json_text(document: Any, indent: int | None = None) -> str:
    """JSON that is the same for a program, and harmless on a terminal."""
    return safe_json(json.dumps(document, ensure_ascii=False, indent=indent))


@contextmanager
def _reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise Failed(f"the output cannot be written: {error.strerror or error}") from None
