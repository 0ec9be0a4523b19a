"""The rest of I5: what customers are billed for and told of, once."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from faultline.history import Published, Trial
from shared_contracts.domain_types import TERMINAL_STAGES

TOLERANCE = 1e-6
"""Figures may be rounded on their way."""


def flown_once(trial: Trial) -> tuple[int, Iterable[str]]:
    """What a drone flew for a delivery is booked for utilization once, with the delivery's own figures."""
    bookings = {row["delivery_id"]: row for row in trial.final.bookings}

    def offenders() -> Iterator[str]:
        for row in trial.final.deliveries:
            booking = bookings.get(row["delivery_id"], {})
            flown = (row["distance_flown_m"], row["duration_flown_s"]) if row["has_flown"] else (None, None)
            booked = (booking.get("flown_distance_m"), booking.get("flown_duration_s"))
            if row["stage"] in TERMINAL_STAGES and not all(map(_is_same, flown, booked)):
                yield f"{row['delivery_id']} flew {flown}, booked is {booked}"

    return len(trial.final.deliveries), offenders()


def _is_same(figure: Any, other: Any) -> bool:
    if figure is None or other is None:
        return figure is other
    return bool(abs(max(figure, 0.0) - other) <= TOLERANCE * max(1.0, abs(figure)))


def told_once(trial: Trial) -> tuple[int, Iterable[str]]:
    """Who asked to be told of the end was told of it once, and nobody of a stage twice."""
    told = Counter(event.told for event in trial.of(Published) if event.told is not None)
    stages = {row["delivery_id"]: row["stage"] for row in trial.final.deliveries}

    def offenders() -> Iterator[str]:
        for wish in trial.final.wishes:
            is_due = wish["stage"] in TERMINAL_STAGES and stages.get(wish["delivery_id"]) == wish["stage"]
            if is_due and not told[f"{wish['request_id']} {wish['stage']}"]:
                yield f"nobody was told that {wish['delivery_id']} is {wish['stage']}"
        for notification, count in told.items():
            if count > 1:
                yield f"wish and stage {notification} were told {count} times"

    return len(trial.final.wishes), offenders()
