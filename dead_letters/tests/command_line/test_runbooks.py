"""Every command of the runbooks is one that `dlq` or `make` has, called as it can be called."""

import re
import shlex
from pathlib import Path

import httpx
import pytest
from interface_examples import BULK, FINGERPRINT, A

from dead_letters.command_line.app import run
from dead_letters.command_line.exits import ExitCode

CHECKOUT = Path(__file__).resolve().parents[3]
RUNBOOKS = sorted((CHECKOUT / "docs" / "runbooks").glob("*.md"))
VALUES = {
    "LETTER": str(A),
    "BULK": str(BULK),
    "GROUP": FINGERPRINT,
    "DELIVERY": "session-1",
    "DELIVERY_ID": "session-1",
    "TEXT": "because",
}
SECTIONS = ("Prerequisites", "Find", "Act", "Check", "Root causes")
LINES_MAX = 60
"""A page."""


def calls_of(text: str, program: str) -> list[str]:
    """The calls of the program in a runbook: in its blocks, inside other commands, and in its sentences.

    A sentence may also name a command without calling it: `dlq audit`.
    """
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    phrases = re.findall(rf"(?<!`)`({program} [^` ]+ [^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()] + phrases
    found = []
    for line in lines:
        # From the innermost outwards: what stands in $( ) is a call, and then a value for the one around it.
        rest = line
        while (inner := re.search(r"[$<]\(([^()]*)\)", rest)) is not None:
            found.append(inner[1])
            rest = rest.replace(inner[0], VALUES["LETTER"])
        found.append(rest)
    parts = (part for one in found for part in re.split(r"\s(?:\|\|?|&&|;)\s", one))
    calls = (re.sub(r"^(timeout \d+ )", "", part.strip()) for part in parts)
    return [call for call in calls if call.startswith(f"{program} ")]


CALLS = [(book.name, call) for book in RUNBOOKS for call in calls_of(book.read_text(), "dlq")]


def test_there_are_commands_to_check() -> None:
    assert len(CALLS) > 40
    assert {name for name, _ in CALLS} >= {book.name for book in RUNBOOKS} - {"outbox-not-draining.md"}


@pytest.mark.parametrize(("book", "call"), CALLS)
def test_every_call_of_dlq_is_right(book: str, call: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = called(call)
    assert code in {ExitCode.UNREACHABLE, ExitCode.OK}, capsys.readouterr().err


@pytest.mark.parametrize(
    "call", ["dlq lst", "dlq show", "dlq replay $LETTER", "dlq list --sesion x", "dlq bulk show 7"]
)
def test_a_call_that_is_wrong_is_noticed(call: str) -> None:
    assert called(call) == ExitCode.USAGE


def called(call: str) -> int:
    """What becomes of the call when it is understood and finds nobody to talk to."""

    def nobody(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    for name, value in VALUES.items():
        call = re.sub(rf"\${name}\b|\b{name}\b", value, call)
    return run(shlex.split(call)[1:], httpx.MockTransport(nobody))


@pytest.mark.parametrize("book", RUNBOOKS, ids=lambda book: book.name)
def test_every_target_of_make_is_there(book: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for call in calls_of(book.read_text(), "make"):
        words = (word for word in call.split()[1:] if not word.startswith("-"))
        assert next(words) in targets, call


@pytest.mark.parametrize("book", [book for book in RUNBOOKS if book.name != "README.md"], ids=lambda book: book.name)
def test_every_runbook_has_its_sections_on_one_page_and_is_in_the_index(book: Path) -> None:
    text = book.read_text()
    assert tuple(re.findall(r"^## (.*)", text, re.MULTILINE)) == SECTIONS
    assert len(text.splitlines()) <= LINES_MAX
    assert f"({book.name})" in (CHECKOUT / "docs" / "runbooks" / "README.md").read_text()


@pytest.mark.parametrize("book", RUNBOOKS, ids=lambda book: book.name)
def test_links_between_runbooks_lead_somewhere(book: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", book.read_text()):
        assert (book.parent / link).exists(), link
