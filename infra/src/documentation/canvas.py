"""The canvas of a service: one page that says what it owns, offers, reacts to and publishes."""

from typing import Any

from documentation.services import DocumentedService

METHODS = ("get", "post", "put", "patch", "delete")


def canvas_of(service: DocumentedService, openapi: dict[str, Any]) -> str:
    """The page as Markdown."""
    lines = [f"# {service.consumer.service}", "", service.description, "", "## Owns", ""]
    lines += [f"- `{store.table.name}`" for store in service.consumer.stores if hasattr(store, "table")]
    lines += ["", "## Reacts to", "", "| subscription | message | handler | rule |", "| --- | --- | --- | --- |"]
    for subscription in service.consumer.subscriptions:
        for message in subscription.messages:
            handler = service.consumer.registrations[message].handler
            lines.append(f"| {subscription.name} | {message.__name__} | `{handler.__name__}` | {_rule(handler)} |")
    lines += ["", "## Keeps time", ""]
    lines += [
        f"- when `{due.column}` of a {due.state.__name__} is past: {_rule(due.registration.handler)}"
        for due in service.consumer.due_columns
    ]
    lines += [
        f"- every {periodic.interval_s} s: {_rule(periodic.registration.handler)}"
        for periodic in service.consumer.periodics
    ]
    lines += ["", "## Publishes", "", "| message | topic |", "| --- | --- |"]
    lines += [f"| {message.__name__} | {message.topic} |" for message in service.published]
    lines += ["", "## Offers over HTTP", "", "| | path | what |", "| --- | --- | --- |"]
    for path, operations in openapi["paths"].items():
        for method in METHODS:
            if method in operations:
                what = _first_line(operations[method].get("description", ""))
                lines.append(f"| {method.upper()} | `{path}` | {what} |")
    return "\n".join(lines) + "\n"


def _rule(handler: Any) -> str:
    return _first_line(handler.__doc__ or "")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
