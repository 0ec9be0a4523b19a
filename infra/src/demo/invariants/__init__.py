"""What has to be true when all requests of a run have ended. Pure: each check looks at evidence and names offenders."""

from demo.evidence import Evidence
from demo.invariants.effects import (
    compensated_exactly_once,
    flights_follow_each_other,
    utilization_equals_the_flights,
    who_asked_was_told_once,
)
from demo.invariants.outcomes import (
    accepted_requests_are_kept,
    all_bookings_have_ended,
    each_request_ended_once,
    ingestion_and_delivery_agree,
    no_drone_is_held,
    no_package_is_left,
    parts_agree_with_the_outcome,
)
from demo.invariants.remains import no_message_is_held, nothing_was_set_aside, outboxes_are_empty, queues_are_empty
from demo.invariants.verdicts import Invariant, Verdict

__all__ = ["INVARIANTS", "Invariant", "Verdict", "judge"]

INVARIANTS = (
    Invariant("accepted requests are kept", accepted_requests_are_kept),
    Invariant("each request ended once", each_request_ended_once),
    Invariant("ingestion and delivery agree", ingestion_and_delivery_agree),
    Invariant("parts agree with the outcome", parts_agree_with_the_outcome),
    Invariant("no drone is held", no_drone_is_held),
    Invariant("all bookings have ended", all_bookings_have_ended),
    Invariant("no package is left", no_package_is_left),
    Invariant("compensated exactly once", compensated_exactly_once),
    Invariant("flights follow each other", flights_follow_each_other),
    Invariant("utilization equals the flights", utilization_equals_the_flights),
    Invariant("who asked was told once", who_asked_was_told_once),
    Invariant("outboxes are empty", outboxes_are_empty),
    Invariant("no message is held", no_message_is_held),
    Invariant("queues are empty", queues_are_empty),
    Invariant("nothing was set aside", nothing_was_set_aside),
)


def judge(evidence: Evidence) -> list[Verdict]:
    """The verdict on each invariant, in the order of INVARIANTS."""
    return [invariant.judge(evidence) for invariant in INVARIANTS]
