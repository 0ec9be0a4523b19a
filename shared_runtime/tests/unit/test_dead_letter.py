"""A dead letter carries the message as it came, and whatever support needs to know beside it."""

import importlib.util
import json
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import asyncpg
import msgspec
import pytest
from aio_pika import Message
from examples import MOMENT, an_envelope, envelopes
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode
from tenacity import AsyncRetrying, stop_after_attempt

from shared_runtime.consumer import Consumer, Loader, Registration
from shared_runtime.dead_letter import EXCHANGE, dead_letter, fingerprint_of, reason_and_description_of
from shared_runtime.envelope import BATCH, JSON, Envelope, Incoming, Undecodable, decode, headers_of
from shared_runtime.errors import PermanentError, TransientError
from shared_runtime.outbox import Outgoing
from shared_runtime.processor import Job, Processor

FRAME_BYTES = 128 * 1024


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def set_aside(message: Envelope | Undecodable, error: Exception | None = None, description: str = "why") -> Outgoing:
    return dead_letter(
        message,
        service="billing",
        subscription="billing.delivery-events",
        reason="refused",
        description=description,
        now=MOMENT + timedelta(minutes=5),
        error=error or raised(PermanentError("why")),
        attempts=3,
        first_failed_at=MOMENT,
    )


@given(envelopes)
def test_an_event_keeps_its_bytes_and_attributes(envelope: Envelope) -> None:
    letter = set_aside(envelope)
    assert letter.body == bytes(envelope.data)
    assert letter.properties.headers.items() >= headers_of(envelope).items()
    # So it can be published again as it is.
    (read,) = decode(Incoming(letter.body, letter.properties.content_type, letter.properties.headers))
    assert isinstance(read, Envelope)
    assert (read.id, read.session_id, bytes(read.data)) == (envelope.id, envelope.session_id, bytes(envelope.data))


def test_it_says_why_where_and_when() -> None:
    envelope = an_envelope()
    error = raised(PermanentError("too heavy", reason="package_too_heavy"))
    letter = set_aside(envelope, error, "too heavy")
    added = {name: value for name, value in letter.properties.headers.items() if name.startswith("deadletter_")}
    assert "raise error" in added.pop("deadletter_stack")
    assert added == {
        "deadletter_id": str(letter.id),
        "deadletter_service": "billing",
        "deadletter_subscription": "billing.delivery-events",
        "deadletter_reason": "refused",
        "deadletter_description": "too heavy",
        "deadletter_exception_type": "PermanentError",
        "deadletter_fingerprint": fingerprint_of("refused", error),
        "deadletter_attempts": 3,
        "deadletter_parked": False,
        "deadletter_first_failed_at": MOMENT.isoformat(),
        "deadletter_last_failed_at": (MOMENT + timedelta(minutes=5)).isoformat(),
    }
    assert (letter.exchange, letter.routing_key) == (EXCHANGE, "billing.delivery-events")
    assert letter.sessions == {envelope.session_id}


@given(st.binary(max_size=100), st.dictionaries(st.text(max_size=20), st.integers() | st.text() | st.binary()))
def test_what_is_no_event_keeps_its_bytes(body: bytes, headers: dict[str, object]) -> None:
    letter = set_aside(Undecodable(body, "text/plain", headers, "no JSON"))
    assert (letter.body, letter.properties.content_type, letter.sessions) == (body, "text/plain", frozenset())
    assert letter.properties.headers.keys() >= headers.keys()
    # It is kept in the outbox as JSON.
    assert msgspec.json.decode(msgspec.json.encode(letter.properties)) is not None


def test_what_is_no_event_is_the_same_dead_letter_when_it_is_delivered_once_more() -> None:
    def name_of(body: bytes, message_id: str) -> str:
        return str(set_aside(Undecodable(body, JSON, {}, "no JSON", message_id)).properties.headers["deadletter_id"])

    assert name_of(b"{", "7") == name_of(b"{", "7")
    # Another message, of a publisher that counts from 1 again or gives no names.
    assert len({name_of(b"{", "7"), name_of(b"{", "8"), name_of(b"[", "7"), name_of(b"{", ""), name_of(b"{", "")}) == 5
    # Each is a row of its own: the first may not have been published when the second comes.
    assert len({set_aside(Undecodable(b"{", JSON, {}, "no JSON", "7")).id for _ in range(2)}) == 2


def test_pieces_of_a_batch_are_different_dead_letters() -> None:
    pieces = decode(Incoming(b"[{}, {}, 7]", BATCH, {}, "batch"))
    names = {set_aside(piece).properties.headers["deadletter_id"] for piece in pieces}
    assert len(names) == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"one": "x" * 120_000},
        {f"header-{number}": "x" * 500 for number in range(250)},
        {"wide": "\U0001f600" * 30_000},
        {"nested": {"a": ["b" * 100_000]}},
    ],
)
def test_headers_that_filled_their_frame_still_fit_one_beside_the_reason(headers: dict[str, object]) -> None:
    error = raised(PermanentError("\U0001f600" * 50_000))
    letter = set_aside(Undecodable(b"{", JSON, headers, "no JSON"), error, str(error))
    properties = Message(b"", headers=letter.properties.headers).properties
    assert len(encode.field_table(properties.headers)) < FRAME_BYTES - 1_000
    assert letter.properties.headers["deadletter_headers_cut"] is True


@pytest.mark.parametrize(
    "content_type", ["x" * 300, "\ufffd" * 255, "x" + "\U0001f600" * 64, "half \ud800 a character"]
)
def test_a_content_type_fits_its_property(content_type: str) -> None:
    kept = set_aside(Undecodable(b"{", content_type, {}, "no")).properties.content_type
    assert len(encode.short_string(kept)) <= 256
    assert content_type.encode(errors="replace").decode().startswith(kept)
    assert len(kept.encode()) > min(len(content_type.encode(errors="replace")), 255) - 4


def test_headers_that_fit_are_not_said_to_be_cut() -> None:
    assert "deadletter_headers_cut" not in set_aside(Undecodable(b"{", JSON, {"a": 1}, "no")).properties.headers


def test_texts_that_no_frame_takes_are_mended() -> None:
    letter = set_aside(an_envelope(), raised(ValueError("half \ud800 a character")), "half \ud800 a character")
    assert letter.properties.headers["deadletter_description"] == "half ? a character"
    assert json.dumps(letter.properties.headers, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("error", "reason", "description"),
    [
        (PermanentError("too heavy", reason="package_too_heavy"), "package_too_heavy", "too heavy"),
        (PermanentError("no"), "refused", "no"),
        (TransientError("partner is down"), "retries_exhausted", "TransientError: partner is down"),
        (TimeoutError(), "retries_exhausted", "TimeoutError: "),
        (asyncpg.DeadlockDetectedError("again"), "retries_exhausted", "DeadlockDetectedError: again"),
        (KeyError("bug"), "handler_failed", "KeyError: 'bug'"),
    ],
)
def test_the_reason_follows_from_the_failure(error: Exception, reason: str, description: str) -> None:
    assert reason_and_description_of(error) == (reason, description)


HANDLERS = """
import json

def on_parsed(message, work):
    json.loads(message)

def on_divided(message, work):
    half(message)

def half(message):
    return 1 / message

def on_divided_elsewhere(message, work):
    return 1 / message

async def load_invoices(connection, messages):
    raise LookupError

async def load_customers(connection, messages):
    raise LookupError
"""


@pytest.fixture
def handlers(tmp_path: Path) -> ModuleType:
    """A service's module, installed where packages are."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "billing.py").write_text(HANDLERS)
    spec = importlib.util.spec_from_file_location("billing.consumers", folder / "billing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def failure_of(handler: object, message: object) -> Exception:
    try:
        await Registration(object, handler, (), ()).call(message, None)  # type: ignore[arg-type]
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


async def test_failures_of_one_cause_have_one_fingerprint(handlers: ModuleType) -> None:
    first, second = await failure_of(handlers.on_divided, 0), await failure_of(handlers.on_divided, 0.0)
    assert fingerprint_of("handler_failed", first) == fingerprint_of("handler_failed", second)


async def test_failures_of_different_causes_have_different_fingerprints(handlers: ModuleType) -> None:
    errors = [
        await failure_of(handlers.on_divided, 0),
        await failure_of(handlers.on_divided_elsewhere, 0),
        await failure_of(handlers.on_divided, "text"),
        await failure_of(handlers.on_parsed, "{"),
        asyncpg.CheckViolationError("no"),
    ]
    prints = {fingerprint_of("handler_failed", error) for error in errors}
    prints |= {fingerprint_of("retries_exhausted", errors[0]), fingerprint_of("expired", None)}
    assert len(prints) == len(errors) + 2


async def test_a_fingerprint_names_the_service_and_not_a_library(handlers: ModuleType) -> None:
    # Two handlers that fail in the same library are two causes; the same one is one, wherever it is installed.
    error = await failure_of(handlers.on_parsed, "{")
    other = await failure_of(handlers.on_parsed, "[1")
    assert fingerprint_of("handler_failed", error) == fingerprint_of("handler_failed", other)


async def test_a_loader_that_fails_is_named_and_not_the_retries_around_it(handlers: ModuleType) -> None:
    processor = object.__new__(Processor)
    processor.consumer = Consumer("billing", [])

    async def failure_with(loader: Loader) -> Exception:
        job = Job(an_envelope(), Registration(object, lambda *_: None, (), (loader,)))
        try:
            async for attempt in AsyncRetrying(stop=stop_after_attempt(1), reraise=True):
                with attempt:
                    await processor._load(None, [job])  # type: ignore[arg-type]
        except LookupError as error:
            return error
        raise AssertionError("it did not fail")

    prints = {fingerprint_of("x", await failure_with(handlers.load_invoices)) for _ in range(2)}
    prints.add(fingerprint_of("x", await failure_with(handlers.load_customers)))
    assert len(prints) == 2


def test_the_constraint_is_part_of_the_fingerprint() -> None:
    def violation(constraint: str) -> Exception:
        error = asyncpg.CheckViolationError("no")
        error.constraint_name = constraint
        return raised(error)

    assert fingerprint_of("x", violation("positive")) == fingerprint_of("x", violation("positive"))
    assert fingerprint_of("x", violation("positive")) != fingerprint_of("x", violation("short"))
