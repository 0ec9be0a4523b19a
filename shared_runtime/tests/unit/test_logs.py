"""Every log line has one shape: an event with fields, and with what the step in hand is about."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from examples import an_envelope

from shared_runtime import logs
from shared_runtime.context import Step, current_step
from shared_runtime.envelope import NO_SESSION

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged, line by line."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    logs.configure("billing", level="INFO", log_format="json")
    output = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(output)
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_an_event_with_fields(lines: Lines) -> None:
    structlog.get_logger("module").warning("invoice_refused", cents=7)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "invoice_refused", "level": "warning", "logger": "module", "service": "billing", "cents": 7,
    }  # fmt: skip


def test_lines_of_libraries_have_the_same_shape(lines: Lines) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    structlog.get_logger("module").info("started")
    library, own = lines()
    assert library["event"] == "Started server process [7]"
    assert library.keys() == own.keys()


def test_a_line_says_what_it_is_about(lines: Lines) -> None:
    envelope = an_envelope()
    token = current_step.set(Step(TRACE, envelope))
    structlog.get_logger("module").info("from the suite")
    logging.getLogger("library").info("from a library")
    structlog.get_logger("module").info("with its own", session_id="mine")
    current_step.reset(token)
    about = {
        "session_id": "session-1",
        "correlation_id": "flow-1",
        "message_id": str(envelope.id),
        "message_type": "tests.counted.v1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    first, second, third = lines()
    assert first.items() >= about.items()
    assert second.items() >= about.items()
    assert third["session_id"] == "mine"


def test_a_command_has_no_session_in_its_lines(lines: Lines) -> None:
    token = current_step.set(Step(TRACE, an_envelope(session_id=NO_SESSION, correlation_id="", type="Submit")))
    structlog.get_logger("module").info("event")
    current_step.reset(token)
    (line,) = lines()
    assert line["message_type"] == "Submit"
    assert not line.keys() & {"session_id", "correlation_id", "message_id"}


@pytest.mark.parametrize("name", ["suite", "library"])
def test_an_exception_is_a_field(lines: Lines, name: str) -> None:
    try:
        raise ValueError("bug")
    except ValueError:
        if name == "suite":
            structlog.get_logger("module").exception("failed")
        else:
            logging.getLogger("library").exception("failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: bug")
    assert "exc_info" not in line


def test_anything_can_be_a_field(lines: Lines) -> None:
    structlog.get_logger("module").info("event", thing=object, bytes=b"\xff", half="\ud800")
    (line,) = lines()
    assert line["bytes"] == "b'\\xff'"


def test_lines_below_the_level_are_not_written(lines: Lines) -> None:
    structlog.get_logger("module").debug("event")
    logging.getLogger("aiormq.connection").error("reported by the loops in one line")
    assert lines() == []
