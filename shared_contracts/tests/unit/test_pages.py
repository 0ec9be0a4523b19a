"""The pages for people show everything, and their links lead somewhere."""

import re
from typing import ClassVar

import pytest

from shared_contracts.catalogue import MESSAGES, publishers_of
from shared_contracts.fleet import v1
from shared_contracts.generate import CHECKOUT, PAGES
from shared_contracts.generation.flow_page import flow_page
from shared_contracts.generation.messages_page import heading_of, messages_page, shared_definitions, unit_of
from shared_contracts.generation.schemas import message_schema
from shared_contracts.message import Message
from shared_contracts.topology import SUBSCRIPTIONS

LINK = re.compile(r"\]\(([^)#]*)(?:#([^)]*))?\)")


def section_of(heading: str) -> str:
    """The part of the messages' page below a heading of the third level."""
    _, _, after = f"\n{messages_page()}".partition(f"\n### {heading}\n")
    return re.split(r"\n##+ ", after)[0]


@pytest.mark.parametrize("message", MESSAGES.values(), ids=lambda message: message.__name__)
def test_every_message_is_shown_with_type_topic_services_and_fields(message: type[Message]) -> None:
    section = section_of(message.__name__)

    assert f"type `{message.message_type}`, topic `{message.topic}`" in section
    assert f"from {', '.join(publishers_of(message))} to " in section
    for name, field in message.model_fields.items():
        (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
        assert field.description
        assert field.description in row


def test_every_value_and_every_code_is_shown_with_its_meaning() -> None:
    for name, definition in shared_definitions(map(message_schema, MESSAGES.values())).items():
        section = section_of(name)
        for shown in (*definition.get("properties", {}), *definition.get("enum", ())):
            assert f"| `{shown}` |" in section
    assert "| `too_heavy` | The weight is above the limit of the package's size. |" in messages_page()


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("weight_kg", "kg"),
        ("altitude_m", "m"),
        ("cruise_speed_mps", "m/s"),
        ("battery_percent", "%"),
        ("join_timeout_s", "s"),
        ("latitude", "°"),
        ("expedited", ""),
    ],
)
def test_the_unit_is_told_by_the_name(field: str, unit: str) -> None:
    assert unit_of(field) == unit


@pytest.mark.parametrize("page", [messages_page(), flow_page()], ids=["messages", "flow"])
def test_every_link_leads_somewhere(page: str) -> None:
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", messages_page(), re.MULTILINE)}

    links = LINK.findall(page)

    assert links
    assert [file for file, _ in links if file and not (CHECKOUT / PAGES / file).exists()] == []
    assert [anchor for _, anchor in links if anchor and anchor not in anchors] == []


def test_a_later_version_has_a_heading_of_its_own() -> None:
    class DroneTelemetryReported(v1.DroneTelemetryReported):
        message_type: ClassVar[str] = "dronedelivery.fleet.drone_telemetry_reported.v2"

    assert heading_of(v1.DroneTelemetryReported) == "DroneTelemetryReported"
    assert heading_of(DroneTelemetryReported) == "DroneTelemetryReported v2"


def test_one_name_with_two_meanings_is_refused() -> None:
    with pytest.raises(ValueError, match="Place is not the same in every message"):
        shared_definitions([{"$defs": {"Place": {"type": "object"}}}, {"$defs": {"Place": {"type": "string"}}}])


def test_the_diagram_has_an_arrow_for_every_publication_and_every_subscription() -> None:
    arrows = [
        (source, labels.split("<br/>"), target)
        for source, labels, target in re.findall(r'^    (\w+) -- "(.*)" --> (\w+)$', flow_page(), re.MULTILINE)
    ]

    drawn = {(source, name, target) for source, names, target in arrows for name in names}

    assert drawn == {
        (f"service_{publisher}".replace("-", "_"), message.__name__, f"topic_{message.topic}".replace("-", "_"))
        for message in MESSAGES.values()
        for publisher in publishers_of(message)
    } | {
        (
            f"topic_{subscription.topic}".replace("-", "_"),
            message.__name__,
            f"service_{subscription.service}".replace("-", "_"),
        )
        for subscription in SUBSCRIPTIONS
        for message in subscription.messages
    }


def test_every_queue_is_listed() -> None:
    page = flow_page()

    for subscription in SUBSCRIPTIONS:
        *_, last = subscription.queues
        assert f"`{last}`" in page
        assert f"`{subscription.dead_letter_queue}`" in page
