"""Moments: as they are given on the command line, and as they are shown."""

import re
from datetime import UTC, datetime, timedelta

import typer

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
_AGO = re.compile(r"(\d{1,6})([smhdw])")


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def read_moment(text: str) -> datetime:
    """A moment such as `2026-03-01T12:10:00+01:00`, `2026-03-01 12:10`, `2026-03-01` (UTC unless it says otherwise) or
    `90s`, `15m`, `2h`, `3d`, `1w` (so long ago). Raises BadParameter.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now() - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip().upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a moment (2026-03-01T12:10:00Z) nor an age (15m, 2h, 3d)"
        ) from None


def is_age(text: str) -> bool:
    """Whether `read_moment` takes the text for an age."""
    return _AGO.fullmatch(text) is not None


def told(value: str | None, at: datetime) -> str:
    """A moment of the service in UTC, and how far it is from `at`."""
    if value is None:
        return "-"
    moment = datetime.fromisoformat(value).astimezone(UTC)
    distance_s = (at - moment).total_seconds()
    age = f"{_span(distance_s)} ago" if distance_s >= 0 else f"in {_span(-distance_s)}"
    return f"{moment:%Y-%m-%d %H:%M:%SZ} ({age})"


def age_of(value: str, at: datetime) -> str:
    """How long ago a moment of the service is."""
    return _span(max(0.0, (at - datetime.fromisoformat(value)).total_seconds()))


def _span(seconds: float) -> str:
    if seconds < MINUTE_S:
        return f"{int(seconds)}s"
    if seconds < HOUR_S:
        return f"{int(seconds // MINUTE_S)}m"
    if seconds < 2 * DAY_S:
        return f"{int(seconds // HOUR_S)}h"
    return f"{int(seconds // DAY_S)}d"
