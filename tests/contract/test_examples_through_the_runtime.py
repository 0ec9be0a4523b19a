"""The committed examples are what the runtime reads: as plain messages and as batches."""

import json
from pathlib import Path

import pytest

from documentation.services import PACKAGES, load
from shared_contracts.catalogue import MESSAGES
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.envelope import BATCH, Envelope, Incoming, decode, utc_now
from shared_runtime.reader import Reader
from shared_runtime.testing import envelope_of

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLES = CHECKOUT / "shared_contracts" / "examples"
FILES = sorted(path for path in EXAMPLES.glob("*/*.json") if path.parent.name != "envelopes")


def message_type_of(path: Path) -> str:
    name, version = path.name.split(".")[:2]
    return f"dronedelivery.{path.parent.name}.{name}.{version}"


def test_there_are_examples_of_every_message() -> None:
    assert {message_type_of(path) for path in FILES} == set(MESSAGES)


def test_the_plain_envelope_is_read() -> None:
    example = json.loads((EXAMPLES / "envelopes" / "binary_mode.json").read_text())
    body = json.dumps(example["body"]).encode()
    properties = example["properties"]
    (event,) = decode(Incoming(body, properties["content_type"], example["headers"]))
    assert isinstance(event, Envelope)
    assert str(event.id) == properties["message_id"]
    assert event.type in MESSAGES


def test_the_batch_envelope_is_read() -> None:
    example = json.loads((EXAMPLES / "envelopes" / "json_batch.json").read_text())
    events = decode(Incoming(json.dumps(example["body"]).encode(), BATCH, {}))
    assert len(events) == len(example["body"]) > 1
    assert all(isinstance(event, Envelope) and event.type in MESSAGES for event in events)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_subscriber_reads_the_example(path: Path) -> None:
    kind = message_type_of(path)
    message = MESSAGES[kind].model_validate_json(path.read_bytes())
    consumers = {one.consumer.service: one.consumer for one in map(load, PACKAGES)}
    readers = [one for one in SUBSCRIPTIONS if MESSAGES[kind] in one.messages and one.service in consumers]
    for subscription in readers:
        reader = Reader(consumers[subscription.service], subscription)
        job = reader.job_for(envelope_of(message), utc_now())
        assert job.error is None
        assert job.message == message
