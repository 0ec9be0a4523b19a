"""The header: what a key is, whose it is, and what makes a request another one."""

import json

import pytest
from starlette.datastructures import Headers

from ingestion.idempotency import idempotency_of
from ingestion.representations import EXAMPLE_TIMES, Times
from shared_runtime import Problem

OPERATION = "PATCH of a delivery"


def headers(*values: str) -> Headers:
    return Headers(raw=[(b"idempotency-key", value.encode("latin-1")) for value in values])


def key(value: str, caller: str = "alice") -> object:
    idempotency = idempotency_of(headers(value), caller, OPERATION)
    assert idempotency is not None
    return idempotency.key


def fingerprint(body: str) -> object:
    idempotency = idempotency_of(headers("k"), "alice", OPERATION, Times.model_validate_json(body))
    assert idempotency is not None
    return idempotency.fingerprint


def test_none_when_no_key_was_sent() -> None:
    assert idempotency_of(headers(), "alice", OPERATION) is None


def test_same_key_when_quoted_or_bare() -> None:
    assert key('"8e03978e"') == key("8e03978e") == key(" 8e03978e ")


def test_another_key_when_text_or_caller_differ() -> None:
    assert len({key("a"), key("b"), key("a", "bob"), key('"b a"')}) == 4


def test_callers_cannot_meet_when_their_names_run_into_the_key() -> None:
    assert key('"b c"', "a") != key('"c"', "a b")


@pytest.mark.parametrize("value", ["", '""', "a" * 256, "a b", 'half"', '"half', "schl\xfcssel", '"a", "b"', "a,b"])
def test_refused_when_it_is_no_key(value: str) -> None:
    with pytest.raises(Problem) as refused:
        idempotency_of(headers(value), "alice", OPERATION)
    assert (refused.value.status, refused.value.slug) == (400, "idempotency-key-invalid")


def test_refused_when_two_keys_were_sent() -> None:
    with pytest.raises(Problem):
        idempotency_of(headers("a", "b"), "alice", OPERATION)


def test_same_request_when_only_spaces_and_order_differ() -> None:
    reversed_fields = dict(reversed(EXAMPLE_TIMES.items()))

    assert fingerprint(json.dumps(EXAMPLE_TIMES)) == fingerprint(json.dumps(reversed_fields, indent=4))


def test_another_request_when_a_value_or_the_operation_differs() -> None:
    other = EXAMPLE_TIMES | {"deadline": "2026-03-01T13:00:01+01:00"}
    deletion = idempotency_of(headers("k"), "alice", "DELETE of a delivery")

    assert deletion is not None
    assert len({fingerprint(json.dumps(EXAMPLE_TIMES)), fingerprint(json.dumps(other)), deletion.fingerprint}) == 3
