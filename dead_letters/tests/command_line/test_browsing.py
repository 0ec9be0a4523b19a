"""What support looks at: for people as text, for programs as JSON, and nothing else on standard output."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from interface_examples import NOON, A, B, a_detail, a_group, a_letter, a_story, a_waiting_message, an_audit_entry, told

from dead_letters.api.requests import AuditQuery, GroupQuery, ListQuery


def query_of(request: httpx.Request) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(request.url.query.decode()).items()}


def test_the_list_is_one_document_for_programs(dlq, service) -> None:
    page = {"items": [a_letter(A), a_letter(B)], "next_after": None}
    service.on("GET", "/deadletters", page)
    ended = dlq("list", "--json")
    assert (ended.code, ended.json, ended.err) == (0, page, "")


def test_the_list_says_what_people_need(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [a_letter()], "next_after": None})
    ended = dlq("list")
    (line,) = [line for line in ended.out.splitlines() if str(A) in line]
    for part in (
        "open",
        "2026-03-01 12:00:00Z (",
        " ago)",
        "drone-scheduler.delivery-requests",
        "DroneStuck: the drone",
    ):
        assert part in line
    assert "DeliveryRequested.v1" in line


def test_an_empty_list_is_no_failure(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [], "next_after": None})
    assert "No dead letter" in dlq("list").out


def test_every_filter_reaches_the_interface(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [], "next_after": None})
    arguments = (
        "--state any --service s --subscription s.t --reason r --session e --correlation c --type t --group f "
        f"--exception x --since 2026-03-01T12:10:00+01:00 --until 2026-03-02 --message {A} --limit 7 --after abc"
    )
    assert dlq("list", *arguments.split()).code == 0
    sent = ListQuery.model_validate(query_of(service.requests[0]))
    assert sent.model_fields_set == set(ListQuery.model_fields)
    assert (sent.session_id, sent.fingerprint, sent.message_id) == ("e", "f", A)
    assert sent.since == datetime(2026, 3, 1, 11, 10, tzinfo=UTC)


def test_the_caller_is_named_to_the_interface(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [], "next_after": None})
    dlq("--subject", "kim", "list")
    headers = service.requests[0].headers
    assert (headers["X-Subject"], headers["X-Roles"]) == ("kim", "support")


def test_a_long_list_is_fetched_in_pages(dlq, service) -> None:
    pages = [
        {"items": [a_letter()] * 500, "next_after": "one"},
        {"items": [a_letter()] * 100, "next_after": "two"},
    ]
    service.on("GET", "/deadletters", pages)
    ended = dlq("list", "--limit", "600", "--json")
    assert len(ended.json["items"]) == 600
    assert ended.json["next_after"] == "two"
    assert [query_of(one)["limit"] for one in service.requests] == ["500", "100"]
    assert query_of(service.requests[1])["after"] == "one"


def test_people_are_told_that_there_is_more(dlq, service) -> None:
    service.on("GET", "/deadletters", {"items": [a_letter()], "next_after": "next"})
    ended = dlq("list", "--limit", "1")
    assert "--after next" in ended.err
    assert "--after" not in ended.out


def test_groups(dlq, service) -> None:
    page = {"items": [a_group()], "total": 3}
    service.on("GET", "/deadletters/groups", page)
    assert dlq("groups", "--service", "drone-scheduler", "--json").json == page
    GroupQuery.model_validate(query_of(service.requests[0]))
    shown = dlq("groups").out
    for part in ("0123456789abcdef", "5 open of 7", "DroneStuck", str(A), "2 smaller groups"):
        assert part in shown


def test_show_tells_everything(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}", a_detail())
    assert dlq("show", str(A), "--json").json == a_detail()
    shown = dlq("show", str(A)).out
    for part in (
        "session-1",
        "Traceback",
        '"weight_kg": 1.5',
        "cloudEvents_id",
        "replay 1",
        "version 0 -> 1",
        "mended",
    ):
        assert part in shown


def test_what_is_read_by_a_program_has_no_blanks_at_the_ends_of_lines(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}", a_detail())
    service.on("GET", "/deadletters", {"items": [a_letter(A), a_letter(B)], "next_after": None})
    for arguments in (["show", str(A)], ["list"]):
        assert [line for line in dlq(*arguments).out.splitlines() if line != line.rstrip()] == []


def test_show_without_a_text_says_where_the_bytes_are(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}", a_detail(body=None, failure_list=[], replay_list=[], audit_list=[]))
    assert f"dlq body {A}" in dlq("show", str(A)).out


def test_a_long_body_is_cut_and_says_so(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}", a_detail(body="x" * 9_000))
    shown = dlq("show", str(A)).out
    assert "5000 characters more" in shown
    assert "x" * 4_001 not in shown.replace("\n", "")


def test_story(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}/story", a_story())
    assert dlq("story", str(A), "--json").json == a_story()
    ended = dlq("story", str(A))
    assert ended.code == 0
    for part in ("session-1", "failed again", "parked", "delivery did not tell what waits in it: connection refused"):
        assert part in ended.out


def test_what_waits_behind_another_says_behind_which(dlq, service) -> None:
    scheduler = {"attempts": 0, "error": "Follows: ", "is_parked": False, "due_at": NOON}
    delivery = {"service": "delivery", "subscription": "delivery.outcomes", "is_parked": False}
    followers = [
        a_waiting_message(position=7, **scheduler),
        a_waiting_message(position=3, attempts=2, **delivery),
        a_waiting_message(position=4, attempts=0, error="Follows: ", **delivery),
    ]
    service.on("GET", f"/deadletters/{A}/story", a_story(*followers))
    shown = dlq("story", str(A)).out.partition("What waits")[2].splitlines()
    head, follower, tried, behind = [line for line in shown if "DeliveryRequested" in line]
    assert "parked" in head
    assert "waits behind 1 " in follower
    assert "tried 2 times" in tried
    assert "2026-03-01 13:00:00Z" in tried
    assert "waits behind 3 " in behind
    assert "2026-03" not in follower + behind
    assert "Follows" not in follower + behind


@pytest.mark.parametrize("content", [b'{"a": 1}\n', b"\x00\xff\x1b[31m"])
def test_a_body_is_written_byte_for_byte(content, service, dlq, tmp_path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert query_of(request) == {"version": "original"}
        return httpx.Response(200, content=content, headers={"X-Body-Version": "0"})

    service.on("GET", f"/deadletters/{A}/body", answer)
    file = tmp_path / "body"
    ended = dlq("body", str(A), "--version", "original", "--output", str(file))
    assert (ended.code, ended.out, file.read_bytes()) == (0, "", content)
    document = dlq("body", str(A), "--version", "original", "--json").json
    assert base64.b64decode(document["body_base64"]) == content
    assert (document["version"], document["body"] is None) == (0, b"\xff" in content)


@pytest.mark.parametrize("version", ["foo", "", "-1", "1.5", "\u0661"])
def test_a_version_that_is_none_is_wrong_usage(version, service, dlq) -> None:
    ended = dlq("body", str(A), "--version", version)
    assert (ended.code, service.requests) == (2, [])
    assert "original, current, or a number" in " ".join(ended.err.replace("│", " ").split())


def test_a_body_goes_to_standard_output(service, dlq) -> None:
    service.on("GET", f"/deadletters/{A}/body", httpx.Response(200, content=b"{}", headers={"X-Body-Version": "3"}))
    assert dlq("body", str(A)).out == "{}"


def test_audit(dlq, service) -> None:
    page = {"items": [told(an_audit_entry())], "next_after": None}
    service.on("GET", "/audit", page)
    arguments = f"--actor sam --action edit --id {A} --bulk {B} --since 2h --until 2026-03-02T00:00:00Z --after x"
    assert dlq("audit", *arguments.split(), "--json").json == page
    sent = AuditQuery.model_validate(query_of(service.requests[0]))
    assert sent.model_fields_set == set(AuditQuery.model_fields)
    shown = dlq("audit").out
    for part in ("sam", "edit", str(A), "version 0 -> 1", "the weight was wrong"):
        assert part in shown


def test_a_list_tells_how_long_there_is_no_answer(dlq, service) -> None:
    since = datetime.now(UTC) - timedelta(minutes=50)
    service.on("GET", "/deadletters", {"items": [a_letter(state="replaying", changed_at=since)], "next_after": None})
    assert "replaying for 50m" in dlq("list", "--state", "replaying").out
