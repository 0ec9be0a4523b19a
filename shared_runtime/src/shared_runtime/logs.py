"""Log lines are events with fields, one JSON object each, in one shape for all services."""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from shared_runtime.context import current_step
from shared_runtime.envelope import NO_SESSION


def configure(service: str, *, level: str, log_format: str) -> None:
    """Send every log line of the process to standard output, those of libraries included."""

    def add_context(_logger: Any, _method: str, event: EventDict) -> EventDict:
        return {"service": service, **_step_in_hand(), **event}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_context,
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str) if log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Both report at length what the supervised loops report in one line.
    for noisy in ("aiormq", "aio_pika"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _step_in_hand() -> dict[str, str]:
    traceparent, envelope = current_step.get()
    fields = {"trace_id": traceparent.split("-")[1]} if traceparent else {}
    if envelope is None:
        return fields
    if envelope.session_id != NO_SESSION:
        fields |= {"session_id": envelope.session_id, "message_id": str(envelope.id)}
    if envelope.correlation_id:
        fields["correlation_id"] = envelope.correlation_id
    return fields | {"message_type": envelope.type}
