"""Whatever a message holds, the terminal stays as it was."""

import json
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interface_examples import A, a_detail, a_failure, a_group, a_letter, a_story

from dead_letters.command_line.output import as_json_text
from dead_letters.command_line.text import CELL_CHARACTERS_MAX, harmless, one_line

CONTROL = "\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"
HOSTILE = (
    "[bold red]x[/] [/nothing] :smile: \x1b]0;title\x07\x1b[2J \u202eright to left \x9b31m \x00 \r over \ud800 \u2028"
)


def is_harmless(text: str) -> bool:
    # Spaces of other widths are not printable for Python, and no danger for a terminal.
    return all(one in "\n\t" or one.isprintable() or (one.isspace() and one not in CONTROL) for one in text)


@pytest.mark.parametrize("command", ["list", "show", "story", "groups"])
@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("is_terminal", [True, False])
def test_hostile_text_is_shown_and_not_obeyed(command, form, is_terminal, dlq, service, monkeypatch) -> None:
    service.on("GET", "/deadletters", {"items": [hostile(a_letter())], "next_after": None})
    service.on("GET", "/deadletters/groups", {"items": [hostile(a_group())], "total": 1})
    service.on("GET", f"/deadletters/{A}", hostile(a_detail(body="the body")) | {"body": HOSTILE})
    service.on("GET", f"/deadletters/{A}/story", hostile(a_story()))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: is_terminal, raising=False)
    ended = dlq(command, *([str(A)] if command in {"show", "story"} else []), *form)
    assert ended.code == 0
    assert is_harmless(ended.out)
    assert "[bold red]x[/]" in ended.out
    assert ":smile:" in ended.out
    if form:
        assert HOSTILE in strings_of(ended.json)


def strings_of(document: object) -> Iterator[object]:
    if isinstance(document, dict | list):
        for one in document.values() if isinstance(document, dict) else document:
            yield from strings_of(one)
    else:
        yield document


def hostile(document: object) -> object:
    """The same with a hostile text wherever somebody else could have written one."""
    if isinstance(document, dict):
        return {name: HOSTILE if name in THEIRS and value else hostile(value) for name, value in document.items()}
    return [hostile(one) for one in document] if isinstance(document, list) else document


THEIRS = {
    "description",
    "exception_type",
    "stack",
    "message_type",
    "session_id",
    "why",
    "actor",
    "text",
    "error",
    "reason",
}


def test_a_refusal_is_shown_and_not_obeyed(dlq, service) -> None:
    service.refuses("GET", f"/deadletters/{A}", 409, "dead-letter-not-open", HOSTILE)
    ended = dlq("show", str(A))
    assert is_harmless(ended.err)
    assert "[bold red]x[/]" in ended.err


def test_long_text_is_cut_in_tables(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [a_letter(description="x" * 100_000)], "next_after": None})
    assert max(map(len, dlq("list").out.splitlines())) < 500


@given(st.text(max_size=400))
def test_any_text_becomes_harmless(text: str) -> None:
    assert is_harmless(harmless(text))
    line = one_line(text)
    assert "\n" not in line
    assert is_harmless(line)
    assert len(line) <= CELL_CHARACTERS_MAX


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_stays_the_same_json(document: object) -> None:
    for indent in (None, 2):
        written = as_json_text(document, indent)
        assert is_harmless(written)
        assert json.loads(written) == document


def test_failures_in_the_details_are_harmless_too(dlq, service) -> None:
    failure = a_failure(stack=f"Traceback\n{HOSTILE}".replace("\ud800", ""), description="\x1b[31m")
    service.on("GET", f"/deadletters/{A}", a_detail(failure_list=[failure]))
    shown = dlq("show", str(A)).out
    assert is_harmless(shown)
    assert "\\x1b[2J" in shown
