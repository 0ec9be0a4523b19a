"""Exports arrive whole, and what is watched comes as it happens, even when the connection is lost."""

import json
from collections.abc import Iterator

import httpx
import pytest
from interface_examples import A, B, a_letter

from dead_letters.api.requests import ExportQuery, LiveQuery
from dead_letters.command_line import events
from dead_letters.command_line.events import Event, read_events
from dead_letters.command_line.streaming import whole_lines

LIVE = "/deadletters/live"
EXPORT = "/deadletters/export"


class Pieces(httpx.SyncByteStream):
    """Bytes that arrive in pieces, and perhaps break off."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.error is not None:
            raise self.error


def stream_of(*pieces: bytes, error: Exception | None = None) -> httpx.Response:
    return httpx.Response(200, stream=Pieces(*pieces, error=error))


def change(letter: dict, position: str) -> bytes:
    return f"event: dead-letter\nid: {position}\ndata: {json.dumps(letter, ensure_ascii=False)}\n\n".encode()


def test_events_are_read_in_whatever_pieces_they_come() -> None:
    text = b"event: dead-letter\r\nid: 1\ndata: {\ndata: }\n\n: heartbeat\nid: 2\n\ndata\n\n:only a comment\n\n"
    expected = [Event("dead-letter", "{\n}", "1"), Event("message", "", "2"), Event("message", "", None)]
    for size in range(1, len(text) + 1):
        pieces = (text[begin : begin + size] for begin in range(0, len(text), size))
        assert list(read_events(pieces)) == expected


def test_line_ends_of_unicode_do_not_tear_an_event() -> None:
    hostile = a_letter(description="one\u2028two\u0085three\x0cfour")
    (event,) = read_events(iter([change(hostile, "1")]))
    assert json.loads(event.data) == hostile


def test_changes_are_lines_for_programs(dlq, service) -> None:
    service.on(
        "GET", LIVE, stream_of(b"event: ready\nid: 0\ndata: {}\n\n", change(a_letter(A), "1"), change(a_letter(B), "2"))
    )
    ended = dlq("watch", "--count", "2", "--json", "--service", "s")
    assert ended.code == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [a_letter(A), a_letter(B)]
    sent = LiveQuery.model_validate(dict(service.requests[0].url.params))
    assert (sent.state, sent.service) == ("any", "s")


def test_changes_are_lines_for_people(dlq, service) -> None:
    service.on("GET", LIVE, stream_of(change(a_letter(state="resolved"), "1")))
    (line,) = dlq("watch", "--count", "1").out.splitlines()
    assert line.startswith("2026-03-01 12:00:00Z")
    assert "resolved" in line
    assert str(A) in line


def test_a_lost_connection_is_taken_up_where_it_was(dlq, service) -> None:
    answers = [
        stream_of(change(a_letter(A), "7"), error=httpx.ReadError("reset")),
        httpx.ConnectError("refused"),
        stream_of(b": heartbeat\nid: 8\n\n", error=httpx.ReadTimeout("silence")),
        stream_of(change(a_letter(B), "9")),
    ]
    service.on("GET", LIVE, answers)
    ended = dlq("watch", "--count", "2", "--json")
    assert [json.loads(line)["dead_letter_id"] for line in ended.out.splitlines()] == [str(A), str(B)]
    assert [one.headers.get("Last-Event-ID") for one in service.requests] == [None, "7", "7", "8"]
    assert ended.err.count("The connection is lost") == 2
    assert ended.err.count("The connection is back") == 2


def test_a_service_that_stays_away_is_not_waited_for(dlq, service, monkeypatch) -> None:
    service.on("GET", LIVE, httpx.ConnectError("refused"))
    assert dlq("watch").code == 5
    assert len(service.requests) == 1
    monkeypatch.setattr(events, "PATIENCE_S", 0.05)
    service.on("GET", LIVE, [stream_of(change(a_letter(A), "7")), httpx.ConnectError("refused")])
    assert dlq("watch").code == 5


def test_a_refusal_ends_the_watch(dlq, service) -> None:
    service.refuses("GET", LIVE, 403, "role-missing", "this needs the role support")
    ended = dlq("watch")
    assert ended.code == 4
    assert "this needs the role support" in ended.err


@pytest.mark.parametrize(
    ("arguments", "file", "form"),
    [
        ("", None, "jsonl"),
        ("--json", None, "jsonl"),
        ("--format csv", None, "csv"),
        ("", "all.csv", "csv"),
        ("", "all.jsonl", "jsonl"),
        ("--format jsonl", "all.csv", "jsonl"),
    ],
)
def test_an_export_arrives_byte_for_byte(arguments, file, form, dlq, service, tmp_path) -> None:
    content = "first\nZürich \x1b[31m\nlast".encode()
    service.on("GET", EXPORT, lambda _: stream_of(content[:8], content[8:]))
    target = () if file is None else ("--output", str(tmp_path / file))
    ended = dlq("export", *arguments.split(), *target, "--state", "any", "--reason", "r")
    assert ended.code == 0
    assert (ended.out.encode() if file is None else (tmp_path / file).read_bytes()) == content
    sent = ExportQuery.model_validate(dict(service.requests[0].url.params))
    assert (sent.format, sent.state, sent.reason) == (form, "any", "r")


def test_an_export_that_breaks_off_leaves_the_file_as_it_was(dlq, service, tmp_path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("what was there")
    service.on("GET", EXPORT, lambda _: stream_of(b"half", error=httpx.RemoteProtocolError("incomplete")))
    assert dlq("export", "--output", str(file)).code == 5
    assert file.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_that_cannot_be_written(dlq, service, tmp_path) -> None:
    service.on("GET", EXPORT, lambda _: stream_of(b"all"))
    ended = dlq("export", "--output", str(tmp_path / "missing" / "all.csv"))
    assert ended.code == 1
    assert "cannot be written" in ended.err


def test_an_export_cannot_be_both(dlq) -> None:
    assert dlq("export", "--json", "--format", "csv").code == 2


def test_lines_are_not_torn() -> None:
    assert list(whole_lines(iter([b"a\nb", b"c", b"\n\n", b"d"]))) == [b"a\n", b"bc\n\n", b"d"]
