"""The promises of the whole suite, in histories that Hypothesis makes up.

Under continuous integration the same few hundred histories each time; with `--hypothesis-profile=thorough` thousands of
new ones.
"""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from rehearsal.machine import STEP_COUNT, Choreography
from rehearsal.statements import EQUIVALENTS, Connection
from rehearsal.world import World

from delivery.commands import StopNotifying
from drone_scheduler.commands import CorrectDrone
from package_service.consumers import AmendPackage
from shared_contracts.catalogue import MESSAGES
from shared_runtime.consumer import Consumer, Registration

HISTORIES = settings.default.max_examples * 5
OF_ONE_SERVICE_ALONE = {AmendPackage, CorrectDrone, StopNotifying}
"""Commands that lead to no message, each with tests of its own service."""


def registrations_of(consumer: Consumer) -> list[Registration]:
    return [
        *(one for kind, one in consumer.registrations.items() if kind not in OF_ONE_SERVICE_ALONE),
        *(one.registration for one in consumer.due_columns),
        *(one.registration for one in consumer.periodics),
    ]


def test_promises_are_kept_in_any_history_in_which_everybody_takes_part() -> None:
    Choreography.seen = Counter()
    run_state_machine_as_test(
        Choreography, settings=settings(max_examples=HISTORIES, stateful_step_count=STEP_COUNT, print_blob=False)
    )
    registrations = [one for actor in World().services.values() for one in registrations_of(actor.consumer)]
    handlers = {one.handler for one in registrations}
    loaders = {loader for one in registrations for loader in one.loaders}
    expected = handlers | loaders | set(MESSAGES.values())
    assert [one for one in expected if not Choreography.seen[one]] == []


def test_a_statement_without_an_equivalent_is_refused() -> None:
    """So is the machine, when a service gets a loader with one."""
    connection = Connection({}, World().now)
    assert len({statement for statement, _ in EQUIVALENTS}) == len(EQUIVALENTS)
    with pytest.raises(LookupError, match="SELECT 1 FROM drone"):
        connection.fetch("SELECT 1 FROM drone").send(None)
