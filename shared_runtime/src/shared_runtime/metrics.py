"""The figures that every service shows on /metrics."""

from functools import cache
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

M = TypeVar("M", Counter, Gauge, Histogram)

RECEIVED = Counter("messages_received_total", "Events read from a queue", ["subscription", "type"])
HANDLED = Counter("messages_handled_total", "Events whose handler committed", ["subscription", "type"])
DUPLICATES = Counter("messages_duplicate_total", "Events that the inbox had already", ["subscription"])
FAILED = Counter("messages_failed_total", "Attempts that raised", ["subscription", "type", "error"])
RETRIED = Counter("messages_retried_total", "Events put aside for a later attempt", ["subscription", "type"])
DEAD_LETTERED = Counter("messages_dead_lettered_total", "Events set aside for support", ["subscription", "reason"])
PUBLISHED = Counter("messages_published_total", "Events that the outbox committed", ["type"])
CONFIRMED = Counter("outbox_confirmed_total", "AMQP messages that the broker confirmed")
UNROUTABLE = Counter("outbox_unroutable_total", "AMQP messages that the broker returned or refused", ["exchange"])
OUTBOX_DEPTH = Gauge("outbox_depth", "AMQP messages that are not yet confirmed")
OUTBOX_AGE = Gauge("outbox_oldest_age_seconds", "Age of the oldest message that is not yet confirmed")
HELD = Gauge("held_messages", "Events that wait for a later attempt, their followers included")
PARKED = Gauge("parked_messages", "Dead-lettered events whose session waits until support has dealt with them")
PAUSED = Gauge("subscription_paused", "1 while the limit of dead letters stops the subscription", ["subscription"])
LATENCY = Histogram(
    "message_latency_seconds",
    "From the event's time to the commit of its handler",
    ["subscription"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
BATCH_SIZE = Histogram(
    "batch_size", "Events per transaction", ["source"], buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
BATCH_SECONDS = Histogram(
    "batch_seconds",
    "Time of a transaction from begin to commit",
    ["source"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
LOOP_FAILURES = Counter("loop_failures_total", "Restarts of a supervised loop", ["loop"])
HTTP_REQUESTS = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
HTTP_SECONDS = Histogram(
    "http_request_seconds",
    "Time to answer a request",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


@cache
def series(metric: M, *labels: object) -> M:
    """The metric's series with these labels. They are few, and looking one up costs more than counting in it."""
    return metric.labels(*labels)
