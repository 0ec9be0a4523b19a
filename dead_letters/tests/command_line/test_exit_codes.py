"""Scripts can tell how it ended, and people are told why."""

import httpx
import pytest
from interface_examples import A, a_letter

from dead_letters.command_line.connection import Connection
from dead_letters.command_line.exits import CommandError, ExitCode, Misused

LIST = "/deadletters"
PAGE = {"items": [], "next_after": None}


@pytest.mark.parametrize(
    ("status", "slug", "code"),
    [
        (404, "dead-letter-unknown", 3),
        (401, "caller-unknown", 4),
        (403, "role-missing", 4),
        (409, "dead-letter-not-open", 4),
        (422, "nothing-selected", 4),
        (413, "request-too-large", 4),
        (400, "caller-invalid", 4),
        (503, "too-many-streams", 5),
        (504, "unavailable", 5),
        (500, "internal-error", 1),
        (404, "not-found", 5),
    ],
)
def test_what_the_service_refuses(status, slug, code, dlq, service) -> None:
    service.refuses("GET", f"/deadletters/{A}", status, slug, "said so")
    ended = dlq("show", str(A))
    assert (ended.code, ended.out) == (code, "")
    assert "said so" in ended.err or slug == "not-found"


@pytest.mark.parametrize(
    ("state", "advice"), [("discarded", "dlq restore"), ("replaying", "dlq reopen"), ("resolved", "it is resolved")]
)
def test_a_refusal_does_not_read_like_success(state, advice, dlq, service) -> None:
    service.refuses("POST", f"/deadletters/{A}/discard", 409, "dead-letter-not-open", f"it is {state}", state=state)
    ended = dlq("discard", str(A), "--why", "not wanted")
    assert ended.code == 4
    assert f"nothing was done: it is {state}" in ended.err
    assert advice in ended.err


def test_every_invalid_field_is_named(dlq, service) -> None:
    errors = [{"field": "query.since", "message": "must be a date"}]
    service.refuses("GET", LIST, 422, "invalid-request", "some fields are invalid", errors=errors)
    assert "query.since: must be a date" in dlq("list").err


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("refused"), httpx.ConnectTimeout(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("half")],
)
def test_nobody_answers(error, dlq, service) -> None:
    service.on("GET", LIST, error)
    ended = dlq("list", "--json")
    assert (ended.code, ended.out) == (5, "")
    assert "http://127.0.0.1:8085" in ended.err


def test_it_is_said_when_it_may_have_been_done_nevertheless(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", httpx.ReadTimeout(""))
    ended = dlq("replay", str(A), "--why", "mended")
    assert ended.code == 5
    assert "dlq audit" in ended.err


@pytest.mark.parametrize("status", [502, 503, 504])
def test_it_is_said_when_somebody_on_the_way_has_given_up(status, dlq, service) -> None:
    service.refuses("POST", "/discards", status, "unavailable", "gave up")
    ended = dlq("discard", "--all", "--why", "test data", "--yes")
    assert ended.code == 5
    assert "gave up" in ended.err
    assert "dlq audit" in ended.err


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(404, text="<html>"), [[]]])
def test_somebody_else_answers(answer, dlq, service) -> None:
    service.on("GET", LIST, answer)
    ended = dlq("list")
    assert ended.code == 5
    assert "DLQ_URL" in ended.err


@pytest.mark.parametrize("url", ["", "localhost:8085", "ftp://x", "http://", "http://x:port"])
def test_a_url_that_is_none(url, dlq) -> None:
    assert dlq("--url", url, "list").code == 2


def test_a_password_in_the_url_is_not_told(dlq, service) -> None:
    service.on("GET", LIST, httpx.ConnectError("refused"))
    ended = dlq("--url", "http://me:secret@somewhere:8085", "list")
    assert "somewhere" in ended.err
    assert "secret" not in ended.err


@pytest.mark.parametrize("subject", ["x" * 129, "Zoë", "a\nb"])
def test_a_subject_that_is_none(subject) -> None:
    with pytest.raises(Misused):
        Connection(subject=subject).open()


def test_the_login_name_is_the_subject_when_nothing_else_is(monkeypatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "kim")
    assert Connection()._caller() == "kim"

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(Misused):
        Connection()._caller()


@pytest.mark.parametrize(
    "arguments", ["", "nothing", "show", "show 123", "list --state odd", "list --since yesterday", "list --limit 0"]
)
def test_wrong_usage(arguments, dlq, service) -> None:
    assert dlq(*arguments.split()).code == 2
    assert service.requests == []


def test_an_interruption_is_quiet(dlq, service) -> None:
    service.on("GET", LIST, interrupted)
    ended = dlq("list")
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def interrupted(_: httpx.Request) -> httpx.Response:
    raise KeyboardInterrupt


def test_every_failure_has_its_status() -> None:
    assert {kind.code for kind in CommandError.__subclasses__()} == set(ExitCode) - {ExitCode.OK, ExitCode.INTERRUPTED}


def test_the_help_explains_them(dlq) -> None:
    for arguments in (["--help"], ["replay", "--help"], ["bulk", "show", "--help"]):
        assert "Exit status: 0 done" in dlq(*arguments).out


def test_json_never_mixes_with_anything_else(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    service.on("GET", f"/deadletters/{A}", a_letter(state="open", description="again"))
    ended = dlq("replay", str(A), "--why", "mended", "--wait", "--json")
    assert ended.json["state"] == "open"
    assert "again" in ended.err
