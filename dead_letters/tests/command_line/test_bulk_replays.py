"""Bulk replays to look at and to steer."""

import pytest
from interface_examples import BULK, A, a_bulk, a_finished_bulk

from dead_letters.api.requests import Reason

WHY = ("--why", "lunch")
ITEM = {"dead_letter_id": str(A), "state": "failed", "note": None}


def test_list(dlq, service) -> None:
    page = {"items": [a_bulk()], "next_after": None}
    service.on("GET", "/bulkreplays", page)
    assert dlq("bulk", "list", "--state", "running", "--json").json == page
    assert service.requests[0].url.params["state"] == "running"
    shown = dlq("bulk", "list").out
    for part in (str(BULK), "running", "1/7 handled, 2 sent, 4 waiting"):
        assert part in shown


def test_show(dlq, service) -> None:
    service.on("GET", f"/bulkreplays/{BULK}", a_bulk(state="stopped", stop_reason="a canary failed"))
    ended = dlq("bulk", "show", str(BULK), "--json")
    assert (ended.code, ended.json["stop_reason"]) == (0, "a canary failed")
    assert "a canary failed" in dlq("bulk", "show", str(BULK)).out


@pytest.mark.parametrize(("items", "asked"), [("failed", "failed"), ("any", None)])
def test_show_its_dead_letters(items, asked, dlq, service) -> None:
    service.on("GET", f"/bulkreplays/{BULK}", lambda _: a_bulk())
    service.on("GET", f"/bulkreplays/{BULK}/items", {"items": [ITEM], "next_after": None})
    ended = dlq("bulk", "show", str(BULK), "--items", items, "--json")
    assert ended.json == {**a_bulk(), "items": [ITEM]}
    assert service.requests[-1].url.params.get("state") == asked
    assert str(A) in dlq("bulk", "show", str(BULK), "--items", items).out


@pytest.mark.parametrize(("last", "code"), [(a_finished_bulk(), 0), (a_finished_bulk(handled=6, failed=1), 1)])
def test_show_can_wait(last, code, dlq, service) -> None:
    service.on("GET", f"/bulkreplays/{BULK}", [a_bulk(), a_bulk(), last])
    ended = dlq("bulk", "show", str(BULK), "--wait", "--json")
    assert (ended.code, ended.json) == (code, last)


@pytest.mark.parametrize("wish", ["pause", "resume", "cancel"])
def test_steer(wish, dlq, service) -> None:
    service.on("POST", f"/bulkreplays/{BULK}/{wish}", a_bulk())
    assert dlq("bulk", wish, str(BULK), *WHY, "--json").json == a_bulk()
    assert Reason.model_validate(service.sent()).why == "lunch"
    assert dlq("bulk", wish, str(BULK)).code == 2


def test_resume_can_wait(dlq, service) -> None:
    service.on("POST", f"/bulkreplays/{BULK}/resume", a_bulk())
    service.on("GET", f"/bulkreplays/{BULK}", a_finished_bulk())
    assert dlq("bulk", "resume", str(BULK), *WHY, "--wait").code == 0


def test_what_has_ended_is_not_steered(dlq, service) -> None:
    service.refuses("POST", f"/bulkreplays/{BULK}/pause", 409, "bulk-replay-ended", "it is finished", state="finished")
    assert dlq("bulk", "pause", str(BULK), *WHY).code == 4
