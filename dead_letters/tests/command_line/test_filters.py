"""What the command offers is what the interface knows, and moments are read as people mean them."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
import typer
from pydantic import ValidationError

from dead_letters.api.requests import ExportFormat, Filter, ListQuery, StateFilter
from dead_letters.command_line.bulk_replays import BulkStateChoice, ItemStateChoice
from dead_letters.command_line.filters import Conditions, StateChoice
from dead_letters.command_line.moments import now, read_moment, told
from dead_letters.command_line.streaming import Format
from dead_letters.domain.states import BulkState, ItemState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_every_filter_of_the_interface_is_offered() -> None:
    assert {one.name for one in fields(Conditions)} | {"state"} == set(Filter.model_fields)


@pytest.mark.parametrize(
    ("offered", "known"),
    [
        (StateChoice, StateFilter),
        (BulkStateChoice, BulkState),
        (ItemStateChoice, [*ItemState, "any"]),
        (Format, ExportFormat),
    ],
)
def test_every_choice_of_the_interface_is_offered(offered, known) -> None:
    assert {str(one) for one in offered} == {str(one) for one in known}


OPTIONS = (
    "service", "subscription", "reason", "session", "correlation", "message", "type", "group", "fingerprint",
    "exception", "since", "until",
)  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("command", ["list", "replay --yes --why x"])
def test_a_filter_that_is_empty_is_refused(option, command, dlq, service) -> None:
    for empty in ("", " "):
        ended = dlq(*command.split(), f"--{option}", empty)
        assert (ended.code, ended.out, service.requests) == (2, "", [])
        assert f"--{option}" in ended.err


@pytest.mark.parametrize("name", sorted(Filter.model_fields))
def test_the_interface_refuses_it_too(name) -> None:
    with pytest.raises(ValidationError):
        ListQuery.model_validate({name: ""})


@pytest.mark.parametrize("option", ["actor", "action"])
def test_an_audit_of_an_empty_name_is_refused(option, dlq, service) -> None:
    assert (dlq("audit", f"--{option}", "").code, service.requests) == (2, [])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01t12:00:00z", NOON),
        ("2026-03-01T13:00:00+01:00", NOON),
        ("2026-03-01 12:00", NOON),
        ("2026-03-01", NOON.replace(hour=0)),
    ],
)
def test_a_moment(text, moment) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "age"),
    [("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("2h", timedelta(hours=2)), ("1w", timedelta(7))],
)
def test_an_age(text, age) -> None:
    assert abs(now() - age - read_moment(text)) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["", "soon", "2x", "-2h", "2026-13-01", "999999w", "12:00"])
def test_no_moment(text) -> None:
    with pytest.raises(typer.BadParameter):
        read_moment(text)


@pytest.mark.parametrize(
    ("later", "age"),
    [
        (timedelta(0), "0s ago"),
        (timedelta(seconds=59.9), "59s ago"),
        (timedelta(minutes=3), "3m ago"),
        (timedelta(hours=47), "47h ago"),
        (timedelta(days=400), "400d ago"),
        (timedelta(minutes=-5), "in 5m"),
    ],
)
def test_moments_are_shown_in_utc_with_their_age(later, age) -> None:
    assert told("2026-03-01T13:00:00+01:00", NOON + later) == f"2026-03-01 12:00:00Z ({age})"


def test_no_moment_is_shown_as_none() -> None:
    assert told(None, NOON) == "-"
