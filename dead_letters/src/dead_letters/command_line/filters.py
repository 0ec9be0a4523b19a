"""Which dead letters: the filters that many commands have in common."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, get_type_hints
from uuid import UUID

import typer

from dead_letters.command_line.exits import Misused
from dead_letters.command_line.moments import read_moment

PANEL = "Filters"
PARAMETER = "conditions"


def _option(*names: str, explained: str) -> Any:
    return typer.Option(*names, help=explained, rich_help_panel=PANEL)


def read_term(text: str) -> str:
    """What to look for. Raises BadParameter when it is empty, as a variable of a script that is not set."""
    if not text.strip():
        raise typer.BadParameter("it is empty: say what to look for, or leave the option out")
    return text


def _term(*names: str, explained: str) -> Any:
    return typer.Option(*names, parser=read_term, metavar="TEXT", help=explained, rich_help_panel=PANEL)


def _moment(name: str, *, explained: str) -> Any:
    return typer.Option(name, parser=read_moment, metavar="MOMENT", help=explained, rich_help_panel=PANEL)


class StateChoice(StrEnum):
    """The states to choose from, and all of them."""

    OPEN = "open"
    REPLAYING = "replaying"
    RESOLVED = "resolved"
    DISCARDED = "discarded"
    ANY = "any"


StateOption = Annotated[StateChoice, _option("--state", explained="In which state.")]


@dataclass(frozen=True)
class Conditions:
    """What must hold for a dead letter to be meant. The names are those of the interface."""

    service: Annotated[str | None, _term("--service", explained="For example drone-scheduler.")] = None
    subscription: Annotated[
        str | None, _term("--subscription", explained="For example drone-scheduler.delivery-requests.")
    ] = None
    reason: Annotated[str | None, _term("--reason", explained="The reason code.")] = None
    session_id: Annotated[str | None, _term("--session", explained="For most messages the delivery id.")] = None
    correlation_id: Annotated[str | None, _term("--correlation", explained="The whole flow of a request.")] = None
    message_id: Annotated[UUID | None, _option("--message", explained="The id of the message.")] = None
    message_type: Annotated[str | None, _term("--type", explained="The type of the message.")] = None
    fingerprint: Annotated[
        str | None, _term("--group", "--fingerprint", explained="The group, as `dlq groups` shows it.")
    ] = None
    exception: Annotated[str | None, _term("--exception", explained="A part of the exception's type or text.")] = None
    since: Annotated[
        datetime | None,
        _moment("--since", explained="Failed last at 2026-03-01T12:10:00Z or later, or since an age: 15m, 2h, 3d."),
    ] = None
    until: Annotated[datetime | None, _moment("--until", explained="Failed last before this moment.")] = None

    def given(self) -> dict[str, str]:
        """Those that are given, as the interface wants them."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in values.items()
            if value is not None
        }


def with_conditions(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each condition, in place of its parameter `conditions`."""
    hints = get_type_hints(Conditions, include_extras=True)
    own = inspect.signature(command, eval_str=True).parameters
    added = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[one.name])
        for one in fields(Conditions)
    ]
    kept = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, one in own.items() if name != PARAMETER]

    @wraps(command)
    def run(**values: Any) -> None:
        conditions = Conditions(**{one.name: values.pop(one.name) for one in added})
        command(**values, conditions=conditions)

    parameters = [*kept, *added]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


@dataclass(frozen=True)
class Selection:
    """The dead letters that an action is for: named one by one, by filters, or all that are open."""

    ids: tuple[UUID, ...]
    conditions: dict[str, str]

    @classmethod
    def of(cls, ids: list[UUID] | None, conditions: Conditions, *, everything: bool) -> "Selection":
        """Raises Misused unless it is clear which ones are meant."""
        # Whoever names one twice means it once.
        unique = tuple(dict.fromkeys(ids or ()))
        given = conditions.given()
        if sum((bool(unique), bool(given), everything)) != 1:
            raise Misused(
                "say which dead letters: ids, or filters, or --all of the open ones, and only one of the three"
            )
        return cls(unique, given)

    @property
    def only_id(self) -> UUID | None:
        """The one dead letter that was named, None when it may be several."""
        return self.ids[0] if len(self.ids) == 1 else None

    def document(self) -> dict[str, Any]:
        """As the interface wants it."""
        if self.ids:
            return {"ids": [str(one) for one in self.ids]}
        return {"filter": {"state": StateChoice.OPEN.value, **self.conditions}}
