"""Mending: in an editor, from a file, value by value; nothing else changes, and nothing that was written is lost."""

import base64
import json
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
from interface_examples import A, a_letter, told

from dead_letters.api.answers import Verdict
from dead_letters.api.requests import Draft, Edit
from dead_letters.domain.limits import BODY_BYTES_MAX

BODY = b'{"package":{"weight_kg":-1.50,"tags":["a","b"]},"name":"Z\xc3\xbcrich"}'
WHY = ("--why", "the weight was wrong")


@pytest.fixture
def mending(service):
    """A dead letter with this body in version 3, and what was made of it."""

    def begin(content: bytes = BODY, kind: str = "application/json") -> None:
        headers = {"X-Body-Version": "3", "Content-Type": kind}
        service.on("GET", f"/deadletters/{A}/body", httpx.Response(200, content=content, headers=headers))
        service.on("PUT", f"/deadletters/{A}/body", accepted)
        service.on("POST", f"/deadletters/{A}/body/check", checked)

    def checked(request: httpx.Request) -> dict:
        Draft.model_validate_json(request.content, strict=True)
        return told(Verdict(violations=[]))

    def accepted(request: httpx.Request) -> dict:
        Edit.model_validate_json(request.content, strict=True)
        return a_letter(version=4)

    begin()
    return begin


@pytest.fixture
def editor(monkeypatch, tmp_path):
    """An editor that does this to the text of its file."""

    def use(code: str) -> Path:
        script = tmp_path / "editor.py"
        seen = tmp_path / "seen"
        script.write_text(
            "import pathlib, sys\nfile = pathlib.Path(sys.argv[-1])\ntext = file.read_bytes()\n"
            f"pathlib.Path({str(seen)!r}).write_bytes(text)\n{code}\nfile.write_bytes(text)\n"
        )
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        return seen

    return use


def drafts(folder: Path) -> list[Path]:
    return list(folder.glob("dead-letter-*"))


@pytest.fixture
def at_terminal(dlq):
    """Call the command as somebody at a terminal."""
    return partial(dlq, types="")


def test_in_an_editor(at_terminal, service, mending, editor, tmp_path) -> None:
    mending(BODY.replace(b"1.50", b"1.5"))
    seen = editor("text = text.replace(b'-1.5', b'2') + b'\\n'")
    ended = at_terminal("edit", str(A), *WHY, "--json")
    assert (ended.code, ended.json["version"]) == (0, 4)
    # One line for each value to read, and one line again to send.
    assert b'\n  "name"' in seen.read_bytes()
    assert service.sent() == {
        "body": '{"package":{"weight_kg":2,"tags":["a","b"]},"name":"Zürich"}',
        "if_version": 3,
        "why": WHY[1],
    }
    assert drafts(tmp_path) == []


def test_people_see_what_changes(at_terminal, mending, editor) -> None:
    editor("text = text.replace(b'-1.50', b'2')")
    shown = at_terminal("edit", str(A), *WHY).err
    assert "-1.50" in shown
    assert "+" in shown


def test_a_number_with_more_digits_than_fit_is_left_alone(at_terminal, service, mending, editor) -> None:
    content = b'{"a":0.12345678901234567890123,"b":1}'
    mending(content)
    editor("text = text.replace(b'\"b\":1', b'\"b\":2')")
    assert at_terminal("edit", str(A), *WHY).code == 0
    assert service.sent()["body"] == '{"a":0.12345678901234567890123,"b":2}'


def test_bytes_that_are_no_text(at_terminal, service, mending, editor) -> None:
    mending(b"\xff\x00", "application/octet-stream")
    editor("text += b'\\xfe'")
    assert at_terminal("edit", str(A), *WHY).code == 0
    assert base64.b64decode(service.sent()["body_base64"]) == b"\xff\x00\xfe"


def test_nothing_is_sent_when_nothing_was_changed(at_terminal, service, mending, editor, tmp_path) -> None:
    editor("pass")
    ended = at_terminal("edit", str(A), *WHY)
    assert ended.code == 1
    assert "nothing was changed" in ended.err
    assert "kept" not in ended.err
    assert drafts(tmp_path) == []
    assert service.changes == []


def test_nothing_is_sent_when_the_editor_fails(at_terminal, service, mending, editor, tmp_path) -> None:
    editor("sys.exit(3)")
    assert at_terminal("edit", str(A), *WHY).code == 1
    assert service.changes == []
    assert drafts(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "slug"), [(409, "version-conflict"), (422, "body-not-acceptable"), (403, "role-missing")]
)
def test_what_was_written_is_kept_when_it_is_refused(
    status, slug, at_terminal, service, mending, editor, tmp_path
) -> None:
    editor("text = b'what was written'")
    service.refuses("PUT", f"/deadletters/{A}/body", status, slug, "not like that")
    ended = at_terminal("edit", str(A), *WHY)
    assert ended.code == 4
    (draft,) = drafts(tmp_path)
    assert draft.read_text() == "what was written"
    assert draft.stat().st_mode & 0o777 == 0o600
    assert str(draft) in ended.err


def test_an_editor_that_is_not_there(at_terminal, service, mending, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VISUAL", str(tmp_path / "missing"))
    assert at_terminal("edit", str(A), *WHY).code == 2


@pytest.mark.parametrize("arguments", [["--dry-run"], [], ["--json"]])
def test_what_breaks_the_contract_is_told_before_anybody_is_asked(arguments, dlq, service, mending, tmp_path) -> None:
    violations = ["package.weight_kg: Input should be greater than 0", "owner_id: Field required"]
    service.on("POST", f"/deadletters/{A}/body/check", {"violations": violations})
    file = tmp_path / "mended.json"
    file.write_text('{"package": {"weight_kg": -1}}')
    ended = dlq("edit", str(A), "--from-file", str(file), *arguments, types="because\n")
    assert ended.code == 0
    for one in violations:
        assert one in ended.err.partition("Why?")[0]
    assert "breaks the contract" in ended.err


def test_from_a_file(dlq, service, mending, tmp_path) -> None:
    file = tmp_path / "mended.json"
    file.write_bytes(b'{"all": "new"}\n')
    assert dlq("edit", str(A), "--from-file", str(file), "--if-version", "1", *WHY).code == 0
    assert service.sent() == {"body": '{"all": "new"}\n', "if_version": 1, "why": WHY[1]}
    assert dlq("edit", str(A), "--from-file", str(tmp_path / "missing"), *WHY).code == 2
    assert dlq("edit", str(A), "--from-file", str(file), "--set", "/a=1", *WHY).code == 2


def test_value_by_value(dlq, service, mending) -> None:
    mending(b'{"package":{"weight_kg":-1.5,"tags":["a","b"]},"a/b":1,"name":"Z\xc3\xbcrich"}')
    changes = ("/package/weight_kg=2", "/package/tags/1=c d", "/package/tags/-=null", "/a~1b=[1]", '/new="=x"')
    assert dlq("edit", str(A), *(word for one in changes for word in ("--set", one)), *WHY).code == 0
    expected = '{"package":{"weight_kg":2,"tags":["a","c d",null]},"a/b":[1],"name":"Zürich","new":"=x"}'
    assert service.sent()["body"] == expected


@pytest.mark.parametrize(
    "change", ["/a", "package=1", "/package/tags/7=1", "/package/tags/x=1", "/nowhere/x=1", "/name/x=1", "/name/x/y=1"]
)
def test_a_pointer_that_leads_nowhere(change, dlq, service, mending) -> None:
    mending(b'{"package":{"tags":["a","b"]},"name":"x"}')
    assert dlq("edit", str(A), "--set", change, *WHY).code == 2
    assert service.changes == []


@pytest.mark.parametrize("content", [b"no json", b"\xff", b'{"a":1,"a":2}', b'{"a":0.12345678901234567890123}', BODY])
def test_a_value_is_not_set_when_that_would_change_others(content, dlq, service, mending) -> None:
    mending(content)
    assert dlq("edit", str(A), "--set", "/a=1", *WHY).code == 2
    assert service.changes == []


def test_only_when_it_expires(dlq, service, mending) -> None:
    assert dlq("edit", str(A), "--expires-at", "never", *WHY).code == 0
    assert service.sent() == {"expires_at": None, "if_version": 3, "why": WHY[1]}
    dlq("edit", str(A), "--expires-at", "2026-03-01 12:10", *WHY)
    assert service.sent()["expires_at"] == "2026-03-01T12:10:00+00:00"
    dlq("edit", str(A), "--expires-at", "20990301T121000Z", *WHY)
    assert service.sent()["expires_at"] == "2099-03-01T12:10:00+00:00"
    dlq("edit", str(A), "--expires-at", "2h", *WHY)
    left_s = (datetime.fromisoformat(service.sent()["expires_at"]) - datetime.now().astimezone()).total_seconds()
    assert 7_100 < left_s <= 7_200
    assert dlq("edit", str(A), "--expires-at", "soon", *WHY).code == 2


def test_what_kind_of_content_it_is(dlq, service, mending, tmp_path) -> None:
    mending(b"broken", "application/octet-stream")
    file = tmp_path / "mended.json"
    file.write_text("{}")
    arguments = ("--from-file", str(file), "--content-type", "application/cloudevents+json")
    assert dlq("edit", str(A), *arguments, *WHY).code == 0
    assert service.sent()["content_type"] == "application/cloudevents+json"


def test_a_dry_run_shows_the_difference(at_terminal, service, mending, editor, tmp_path) -> None:
    editor("text = text.replace(b'-1.50', b'2')")
    assert "+" in at_terminal("edit", str(A), "--dry-run").out
    ended = at_terminal("edit", str(A), "--dry-run", "--json")
    assert ended.json["dry_run"] is True
    assert ended.json["if_version"] == 3
    assert service.changes == []
    assert drafts(tmp_path) == []


def test_a_long_text_is_not_made_longer_than_the_service_takes(dlq, service, mending, tmp_path) -> None:
    file = tmp_path / "mended.json"
    file.write_bytes(b"[" + b'"",' * 1_300_000 + b"0]")
    assert dlq("edit", str(A), "--from-file", str(file), *WHY).code == 0
    assert base64.b64decode(service.sent()["body_base64"]) == file.read_bytes()
    assert len(service.changes[-1].content) < BODY_BYTES_MAX * 3 // 2


def test_no_editor_is_opened_without_a_terminal(dlq, service, mending, editor) -> None:
    seen = editor("text += b'x'")
    ended = dlq("edit", str(A), *WHY)
    assert (ended.code, ended.out, service.changes) == (2, "", [])
    assert "--from-file" in ended.err
    assert not seen.exists()


def test_the_difference_is_that_of_the_values_however_they_are_written(dlq, mending, tmp_path) -> None:
    file = tmp_path / "mended.json"
    body = {"tags": ["a", "b"], "weight_kg": 1}
    mending(json.dumps(body).encode())
    file.write_text(json.dumps(body | {"weight_kg": 2}, indent=4))
    shown = dlq("edit", str(A), "--from-file", str(file), "--dry-run").out
    changed = [line for line in shown.splitlines() if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}]
    assert [line.split() for line in changed] == [["-", '"weight_kg":', "1"], ["+", '"weight_kg":', "2"]]
    file.write_text(json.dumps(body, indent=4))
    assert "Only white space" in dlq("edit", str(A), "--from-file", str(file), "--dry-run").out


@pytest.mark.parametrize("separator", [" ", "\n"])
def test_a_long_difference_is_cut_and_says_so(separator, dlq, mending, tmp_path) -> None:
    mending(separator.join(["old" * 50] * 2_000).encode(), "text/plain")
    file = tmp_path / "mended"
    file.write_text(separator.join(["new" * 50] * 2_000))
    shown = dlq("edit", str(A), "--from-file", str(file), "--dry-run").out
    assert len(shown) < 10_000
    assert ("... 3,963 more lines" in shown) == (separator == "\n")
