"""Replay, discard and restore: one at once, several only with consent, and how it went as the exit status."""

import json

import httpx
import pytest
from interface_examples import BULK, FINGERPRINT, A, B, a_bulk, a_finished_bulk, a_letter

from dead_letters.api.requests import BulkDiscard, BulkReplayRequest, Reason
from dead_letters.command_line import repairing
from dead_letters.domain.states import BulkState

WHY = ("--why", "mended")


def begins_bulk(service, *later) -> None:
    """A bulk replay that goes on like this."""
    service.on("POST", "/bulkreplays", bulk_answer)
    service.on("GET", "/bulkreplays", {"items": [], "next_after": None})
    service.on("GET", f"/bulkreplays/{BULK}", list(later))


def bulk_answer(request: httpx.Request) -> httpx.Response:
    order = BulkReplayRequest.model_validate_json(request.content, strict=True)
    if order.dry_run:
        return httpx.Response(200, json={"selected": 7, "undecodable": 1, "dry_run": True})
    return httpx.Response(201, json=a_bulk(waiting=7, sent=0, handled=0))


def test_one_is_replayed_without_a_question(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    ended = dlq("replay", str(A), *WHY, "--json")
    assert (ended.code, ended.json["state"]) == (0, "replaying")
    assert Reason.model_validate(service.sent()).why == "mended"


@pytest.mark.parametrize(("state", "code"), [("resolved", 0), ("open", 1), ("discarded", 1)])
def test_waiting_for_one_tells_how_it_ended(state, code, dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    service.on("GET", f"/deadletters/{A}", [a_letter(state="replaying"), a_letter(state=state)])
    ended = dlq("replay", str(A), *WHY, "--wait", "--json")
    assert (ended.code, ended.json["state"]) == (code, state)


def test_waiting_survives_a_restart_of_the_service(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    service.on("GET", f"/deadletters/{A}", [httpx.ConnectError("refused"), a_letter(state="resolved")])
    assert dlq("replay", str(A), *WHY, "--wait").code == 0


def test_waiting_ends_when_it_takes_too_long(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    service.on("GET", f"/deadletters/{A}", a_letter(state="replaying"))
    ended = dlq("replay", str(A), *WHY, "--wait", "--timeout", "0.1")
    assert ended.code == 1
    assert "not ended within 0.1 s" in ended.err


def test_a_group_is_a_bulk_replay(dlq, service) -> None:
    begins_bulk(service)
    arguments = "--group 0123456789abcdef --canary 2 --rate 5 --max-failures 20% --yes --json"
    ended = dlq("replay", *arguments.split(), *WHY)
    assert (ended.code, ended.json["bulk_replay_id"]) == (0, str(BULK))
    order = BulkReplayRequest.model_validate(service.sent())
    assert (order.canary, order.rate_per_s, order.max_failure_ratio, order.dry_run) == (2, 5.0, 0.2, False)
    assert order.filter is not None
    assert (order.filter.fingerprint, order.filter.state) == (FINGERPRINT, "open")


@pytest.mark.parametrize("state", BulkState)
@pytest.mark.parametrize("group", [FINGERPRINT, "another"])
def test_another_bulk_replay_of_the_group_is_named_before_anybody_consents(state, group, dlq, service) -> None:
    begins_bulk(service)
    other = a_bulk(bulk_replay_id=B, state=state, selection={"state": "open", "fingerprint": group})
    page = {"items": [other, a_bulk(selection={"ids": [str(A)], "ids_count": 1})], "next_after": None}
    service.on("GET", "/bulkreplays", page)
    told = dlq("replay", "--group", FINGERPRINT, *WHY, types="n\n").err.partition("Go on?")[0]
    is_in_the_way = group == FINGERPRINT and state in {"running", "paused", "stopped"}
    assert (f"which is {state}: dlq bulk show {B}" in told) == is_in_the_way


def test_several_ids_are_a_bulk_replay_of_each_once(dlq, service) -> None:
    begins_bulk(service)
    dlq("replay", str(A), str(B), str(A), *WHY, "--yes")
    assert service.sent()["ids"] == [str(A), str(B)]


def test_all_must_be_said(dlq, service) -> None:
    begins_bulk(service)
    assert dlq("replay", *WHY, "--yes").code == 2
    assert dlq("replay", str(A), "--service", "s", *WHY, "--yes").code == 2
    assert dlq("replay", str(A), "--all", *WHY, "--yes").code == 2
    assert service.requests == []
    assert dlq("replay", "--all", *WHY, "--yes").code == 0
    assert service.sent()["filter"] == {"state": "open"}


@pytest.mark.parametrize("command", ["replay", "discard"])
def test_many_are_not_touched_without_a_terminal_or_yes(command, dlq, service) -> None:
    begins_bulk(service)
    service.on("POST", "/discards", {"selected": 7, "discarded": 0, "left_alone": 0, "dry_run": True})
    ended = dlq(command, "--all", *WHY)
    assert ended.code == 2
    assert "--yes" in ended.err
    assert all(json.loads(one.content)["dry_run"] for one in service.changes)


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_somebody_at_a_terminal_is_asked(typed, code, dlq, service) -> None:
    begins_bulk(service)
    ended = dlq("replay", "--all", *WHY, types=typed)
    assert ended.code == code
    assert "Replay 7 dead letters, 1 first, then 20/s, until more than 10% fail. Go on? [y/N]" in ended.err
    assert len(service.changes) == (2 if code == 0 else 1)


def test_the_reason_is_asked_for_at_a_terminal_only(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/replay", a_letter(state="replaying"))
    assert dlq("replay", str(A)).code == 2
    assert dlq("replay", str(A), "--why", "  ").code == 2
    assert dlq("replay", str(A), types="\n").code == 2
    assert service.requests == []
    assert dlq("replay", str(A), types="because\n").code == 0
    assert service.sent() == {"why": "because"}


def test_a_dry_run_shows_what_would_be_touched(dlq, service) -> None:
    begins_bulk(service)
    service.on("GET", "/deadletters", {"items": [a_letter()], "next_after": "x"})
    ended = dlq("replay", "--all", "--dry-run", "--json")
    assert ended.json == {"selected": 7, "undecodable": 1, "dry_run": True, "examples": [a_letter()]}
    shown = dlq("replay", "--all", "--dry-run").out
    for part in ("7 dead letters are selected", "1 of them", str(A), "and 6 more"):
        assert part in shown


def test_a_dry_run_of_ids_shows_those_that_are_known(dlq, service) -> None:
    service.on("POST", "/bulkreplays", {"selected": 1, "undecodable": 0, "dry_run": True})
    service.on("GET", f"/deadletters/{A}", a_letter())
    service.refuses("GET", f"/deadletters/{B}", 404, "dead-letter-unknown", "there is none")
    ended = dlq("replay", str(A), str(B), "--dry-run", "--json")
    assert ended.code == 1
    assert [one["dead_letter_id"] for one in ended.json["examples"]] == [str(A)]
    assert f"not known, 1 of the 2 ids: {B}\n" in ended.err


@pytest.mark.parametrize(
    ("last", "code", "told"),
    [
        (a_finished_bulk(), 0, ""),
        (a_finished_bulk(handled=6, failed=1), 1, "1 failed"),
        (a_finished_bulk(handled=6, skipped=1), 1, "1 skipped"),
        (
            a_bulk(state="stopped", failed=1, stop_reason="a canary failed"),
            1,
            "because a canary failed (A: it is stuck)",
        ),
        (a_bulk(state="paused"), 1, "is paused"),
        (a_bulk(state="cancelled"), 1, "is cancelled"),
    ],
)
def test_waiting_for_many_tells_how_it_ended(last, code, told, dlq, service) -> None:
    begins_bulk(service, a_bulk(), last)
    item = {"dead_letter_id": "A", "state": "failed", "note": "it is stuck"}
    service.on("GET", f"/bulkreplays/{BULK}/items", {"items": [item], "next_after": None})
    ended = dlq("replay", "--all", *WHY, "--yes", "--wait", "--json")
    assert ended.code == code
    assert ended.json == last
    assert told in ended.err
    assert "1/7 handled" in ended.err


def test_whoever_stops_waiting_is_told_that_it_goes_on(dlq, service) -> None:
    def interrupted(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    begins_bulk(service)
    service.on("GET", f"/bulkreplays/{BULK}", [a_bulk(), interrupted])
    ended = dlq("replay", "--all", *WHY, "--yes", "--wait", "--json")
    assert (ended.code, ended.out) == (130, "")
    assert f"dlq bulk show {BULK} --wait" in ended.err
    service.on("GET", f"/bulkreplays/{BULK}", a_bulk())
    late = dlq("replay", "--all", *WHY, "--yes", "--wait", "--timeout", "0.1")
    assert (late.code, late.out) == (1, "")
    assert f"dlq bulk show {BULK} --wait" in late.err


def test_ids_that_are_not_known_are_told(dlq, service) -> None:
    service.on("POST", "/bulkreplays", httpx.Response(201, json=a_bulk(total=1)))
    service.on("GET", f"/deadletters/{A}", a_letter())
    service.refuses("GET", f"/deadletters/{B}", 404, "dead-letter-unknown", "there is none")
    ended = dlq("replay", str(A), str(B), *WHY, "--yes")
    assert ended.code == 1
    assert f"not known, 1 of the 2 ids: {B}\n" in ended.err


def test_one_is_not_several(dlq, service) -> None:
    service.on("POST", "/discards", {"selected": 1, "discarded": 0, "left_alone": 0, "dry_run": True})
    service.on("GET", "/deadletters", {"items": [a_letter()], "next_after": None})
    assert "1 dead letter is selected." in dlq("discard", "--reason", "expired", "--dry-run").out
    assert "Discard 1 dead letter. Go on?" in dlq("discard", "--reason", "expired", *WHY, types="n\n").err


def test_one_is_discarded(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/discard", a_letter(state="discarded"))
    assert dlq("discard", str(A), *WHY, "--json").json["state"] == "discarded"
    assert service.sent() == {"why": "mended"}


@pytest.mark.parametrize(("left_alone", "code"), [(0, 0), (2, 1)])
def test_many_are_discarded(left_alone, code, dlq, service) -> None:
    outcome = {"selected": 7, "discarded": 7 - left_alone, "left_alone": left_alone, "dry_run": False}
    service.on("POST", "/discards", outcome)
    ended = dlq("discard", "--reason", "expired", *WHY, "--yes", "--json")
    assert (ended.code, ended.json) == (code, outcome)
    request = BulkDiscard.model_validate(service.sent())
    assert request.filter is not None
    assert request.filter.reason == "expired"
    assert f"{7 - left_alone} of 7 discarded" in dlq("discard", "--reason", "expired", *WHY, "--yes").out


def test_a_dry_run_discards_nothing(dlq, service) -> None:
    service.on("POST", "/discards", {"selected": 1, "discarded": 0, "left_alone": 0, "dry_run": True})
    service.on("GET", f"/deadletters/{A}", a_letter())
    ended = dlq("discard", str(A), "--dry-run", "--json")
    assert ended.json == {"selected": 1, "dry_run": True, "examples": [a_letter()]}
    assert all(json.loads(one.content)["dry_run"] for one in service.changes)


def test_one_is_restored(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/restore", a_letter())
    assert dlq("restore", str(A), *WHY, "--json").json == a_letter()


def test_several_are_restored_as_far_as_possible(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/restore", a_letter())
    service.refuses("POST", f"/deadletters/{B}/restore", 409, "dead-letter-not-discarded", "it is open")
    assert dlq("restore", str(A), str(B), *WHY).code == 2
    ended = dlq("restore", str(A), str(B), *WHY, "--yes", "--json")
    assert ended.code == 1
    refused = {"dead_letter_id": str(B), "error": "nothing was done: it is open"}
    assert ended.json == {"items": [a_letter()], "refused": [refused]}


def test_what_nobody_answers_is_reopened(dlq, service) -> None:
    service.on("POST", f"/deadletters/{A}/reopen", a_letter(unanswered=1))
    service.refuses("POST", f"/deadletters/{B}/reopen", 409, "answer-expected", "its replay may still be answered")
    assert dlq("reopen", str(A), *WHY, "--json").json == a_letter(unanswered=1)
    assert "a replay is not answered" in dlq("reopen", str(A), *WHY).out
    ended = dlq("reopen", str(A), str(B), *WHY, "--yes", "--json")
    assert (ended.code, [one["dead_letter_id"] for one in ended.json["refused"]]) == (1, [str(B)])


def test_a_dry_run_restores_nothing(dlq, service) -> None:
    service.on("GET", f"/deadletters/{A}", a_letter(state="discarded"))
    assert dlq("restore", str(A), "--dry-run", "--json").json["selected"] == 1
    assert service.changes == []


@pytest.mark.parametrize(("given", "share"), [("0.1", 0.1), ("10%", 0.1), ("0", 0), ("1", 1), (0.1, 0.1)])
def test_a_share(given, share) -> None:
    assert repairing.read_ratio(given) == share


@pytest.mark.parametrize("given", ["-0.1", "101%", "1.1", "nan", "many", "%"])
def test_no_share(given, dlq, service) -> None:
    assert dlq("replay", "--all", f"--max-failures={given}").code == 2
