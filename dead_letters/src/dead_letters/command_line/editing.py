"""The command that mends a dead letter."""

import base64
import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.console import RenderableType
from rich.text import Text

from dead_letters.command_line.asking import reason_of, somebody_is_there
from dead_letters.command_line.client import Body, Json
from dead_letters.command_line.connection import open_client
from dead_letters.command_line.editor import Draft, edited
from dead_letters.command_line.exits import CommandError, Failed, Misused
from dead_letters.command_line.json_pointer import is_same, with_values
from dead_letters.command_line.moments import is_age, now, read_moment
from dead_letters.command_line.options import AsJson, DeadLetterId, DryRun, Why
from dead_letters.command_line.output import Output
from dead_letters.command_line.text import harmless
from dead_letters.command_line.views.letters import letter_view

NEVER = "never"
STANDARD_INPUT = Path("-")
DIFFERENCE_STYLES = {"+": "green", "-": "red", "@": "cyan"}
TEXT_BYTES_MAX = 1_000_000
"""Of a body that is sent as a text."""
COMPARED_BYTES_MAX = 1_000_000
DIFFERENCE_LINES_MAX = 40
LINE_CHARACTERS_MAX = 200
VIOLATIONS_MAX = 20

FromFile = Annotated[
    Path | None, typer.Option("--from-file", help="Take the whole body from here; - is standard input.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="POINTER=VALUE", help="Set a value of a JSON body: /package/weight_kg=1.5"),
]
Expires = Annotated[
    str | None, typer.Option("--expires-at", metavar="MOMENT", help="When the event expires, or: never.")
]
ContentType = Annotated[
    str | None, typer.Option(help="Of a body that is to become an event, as application/cloudevents+json.")
]
IfVersion = Annotated[
    int | None,
    typer.Option("--if-version", min=0, help="Only if this is still the current version; else the one read now."),
]


@dataclass(frozen=True)
class Mended:
    """A new body, and the file that somebody wrote it in."""

    content: bytes
    draft: Draft | None = None


def edit(
    context: typer.Context,
    *,
    dead_letter_id: DeadLetterId,
    from_file: FromFile = None,
    assignments: Assignments = None,
    expires_at: Expires = None,
    content_type: ContentType = None,
    if_version: IfVersion = None,
    why: Why = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Mend a copy of the body in $EDITOR, from a file, or value by value. The former versions are kept.

    Who the message is (id, type, session, ...) stays as it is. Replay it afterwards.
    """
    output = Output(as_json=as_json)
    if from_file is not None and assignments:
        raise Misused("give either --from-file or --set")
    document: Json = _attributes(expires_at, content_type)
    with open_client(context) as client:
        body = client.body(dead_letter_id, "current")
        mended = _mended(body, dead_letter_id, from_file, assignments, is_only_attributes=bool(document))
        with _kept_if_refused(mended.draft, output):
            if mended.content != body.content:
                document |= _content(mended.content)
                violations = client.post(f"/deadletters/{dead_letter_id}/body/check", _content(mended.content))
                _warn(violations["violations"], output)
            if not document:
                raise Failed("nothing was changed")
            if dry_run:
                preview = {"dry_run": True, "if_version": body.version, **document}
                output.result(preview, lambda _: _difference(body.content, mended.content))
                return
            if not output.as_json:
                output.stderr.print(_difference(body.content, mended.content))
            version = body.version if if_version is None else if_version
            document |= {"if_version": version, "why": reason_of(output, why)}
            letter = client.put(f"/deadletters/{dead_letter_id}/body", document)
    output.result(letter, lambda found: letter_view(found, now()))


def _warn(violations: Sequence[str], output: Output) -> None:
    if violations:
        output.note("This breaks the contract of the message, and is refused again when it is replayed:")
        for one in violations[:VIOLATIONS_MAX]:
            output.note(f"  {one}")
        if len(violations) > VIOLATIONS_MAX:
            output.note(f"  ... {len(violations) - VIOLATIONS_MAX:,} more")


def _attributes(expires_at: str | None, content_type: str | None) -> Json:
    document: Json = {}
    if expires_at is not None:
        document["expires_at"] = None if expires_at == NEVER else _later(expires_at).isoformat()
    if content_type is not None:
        document["content_type"] = content_type
    return document


def _later(text: str) -> datetime:
    # An age such as 2h is in the future here.
    moment, at = read_moment(text), now()
    return at + (at - moment) if is_age(text) else moment


def _mended(
    body: Body, dead_letter_id: UUID, from_file: Path | None, assignments: list[str] | None, *, is_only_attributes: bool
) -> Mended:
    if from_file is not None:
        return Mended(_read(from_file))
    if assignments:
        return Mended(with_values(_text(body), assignments).encode())
    if is_only_attributes:
        return Mended(body.content)
    if not somebody_is_there():
        raise Misused("there is no terminal to open an editor at: use --from-file or --set")
    shown, is_arranged = _arranged(body.content)
    draft = edited(shown, f"dead-letter-{dead_letter_id}", ".json" if "json" in body.content_type else ".txt")
    content = draft.content
    if content == shown:
        draft.drop()
        return Mended(body.content)
    # Editors put a line end behind the last line.
    content = content if shown.endswith(b"\n") else content.removesuffix(b"\n")
    mended = Mended(body.content if content == shown else _compact(content) if is_arranged else content, draft)
    if mended.content == body.content:
        draft.drop()
        return Mended(body.content)
    return mended


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD_INPUT else file.read_bytes()
    except OSError as error:
        raise Misused(f"{file} cannot be read: {error.strerror or error}") from None


def _text(body: Body) -> str:
    try:
        return body.content.decode()
    except UnicodeDecodeError:
        raise Misused("the body is no text: mend it with an editor or --from-file") from None


def _arranged(content: bytes) -> tuple[bytes, bool]:
    """A JSON text in one line with a line for each value, if that changes nothing else; and whether it was done."""
    try:
        text = content.decode()
        arranged = json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        if "\n" not in text and is_same(text, arranged):
            return arranged.encode(), True
    except (ValueError, RecursionError):
        pass
    return content, False


def _compact(content: bytes) -> bytes:
    try:
        text = content.decode()
        compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        return compact.encode() if is_same(text, compact) else content
    except (ValueError, RecursionError):
        return content


def _content(content: bytes) -> Json:
    # Inside JSON a text full of quotes is twice as long, and then too long for the service.
    if len(content) <= TEXT_BYTES_MAX:
        try:
            return {"body": content.decode()}
        except UnicodeDecodeError:
            pass
    return {"body_base64": base64.b64encode(content).decode()}


@contextmanager
def _kept_if_refused(draft: Draft | None, output: Output) -> Iterator[None]:
    try:
        yield
    except (CommandError, KeyboardInterrupt):
        if draft is not None:
            output.note(f"What you wrote is kept in {draft.path}; go on with --from-file")
        raise
    else:
        if draft is not None:
            draft.drop()


def _difference(before: bytes, after: bytes) -> RenderableType:
    if before == after:
        return Text("The body stays as it is.")
    if max(len(before), len(after)) > COMPARED_BYTES_MAX:
        return Text(f"{len(before)} bytes become {len(after)}.")
    lines = list(difflib.unified_diff(*_comparable(before, after), "current", "mended", n=2, lineterm=""))
    if not lines:
        return Text(f"Only white space changes: {len(before)} bytes become {len(after)}.")
    shown = Text(no_wrap=True, overflow="ellipsis")
    for line in lines[:DIFFERENCE_LINES_MAX]:
        shown.append(f"{_cut(line)}\n", DIFFERENCE_STYLES.get(line[0], ""))
    if len(lines) > DIFFERENCE_LINES_MAX:
        shown.append(f"... {len(lines) - DIFFERENCE_LINES_MAX:,} more lines\n", "dim")
    return shown


def _cut(line: str) -> str:
    # A terminal that is narrower cuts it shorter.
    return harmless(line) if len(line) <= LINE_CHARACTERS_MAX else f"{harmless(line[: LINE_CHARACTERS_MAX - 1])}…"


def _comparable(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The lines of both, with a line for each value if both are JSON, however they are written."""
    texts = [content.decode(errors="backslashreplace") for content in (before, after)]
    try:
        arranged = [json.dumps(json.loads(text), ensure_ascii=False, indent=2) for text in texts]
        if all(is_same(text, other) for text, other in zip(texts, arranged, strict=True)):
            texts = arranged
    except (ValueError, RecursionError):
        pass
    return texts[0].splitlines(), texts[1].splitlines()
