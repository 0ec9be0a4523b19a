"""The two families of failure, and the reason codes that a dead letter can carry."""

from enum import StrEnum

import asyncpg


class DeadLetterReason(StrEnum):
    """Why a message was set aside."""

    MALFORMED = "malformed"
    """The bytes are no CloudEvent: broken JSON, missing or ill-formed attributes."""
    TOO_LARGE = "too_large"
    """The message is larger than the service accepts."""
    UNKNOWN_TYPE = "unknown_type"
    """No service of this subscription knows the CloudEvents type."""
    UNSUPPORTED_VERSION = "unsupported_version"
    """The type is known, in another version."""
    INVALID_PAYLOAD = "invalid_payload"
    """The data does not fit the schema of its type."""
    EXPIRED = "expired"
    """`expires_at` was past when the message was read."""
    REFUSED = "refused"
    """The handler raised PermanentError without a code of its own."""
    HANDLER_FAILED = "handler_failed"
    """The handler raised what is neither transient nor permanent, at every attempt."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """The failure was transient, but it did not pass in time."""
    CRASHES_CONSUMER = "crashes_consumer"
    """The process died while it handled this message, more than once."""


class PermanentError(Exception):
    """No retry can help: the message is dead-lettered at once.

    `reason` is a stable code for support, `description` a sentence for people.
    """

    def __init__(self, description: str, *, reason: str = DeadLetterReason.REFUSED) -> None:
        super().__init__(description)
        self.reason = str(reason)
        self.description = description


class TransientError(Exception):
    """The same message may succeed later: it is retried, with growing pauses, in the order of its session."""


class SubscriptionPaused(TransientError):
    """The subscription has dead-lettered as many messages as it may for the moment."""


class ConcurrencyConflict(TransientError):
    """Another transaction created the same row first. The retry will find it loaded."""


class NotLoaded(LookupError):
    """A handler asked for a state that its `loads` did not declare: an error of the program."""


class Overloaded(TransientError):
    """More work is waiting than the service is willing to hold in memory."""


class DatabaseUnavailable(TransientError):
    """The database is out of reach, or not as the service needs it: that says nothing about the messages in hand."""


class StatementTimedOut(DatabaseUnavailable):
    """A statement had no answer in time: the database is out of reach, or what it was asked for takes too long."""


_CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # The table changed since the statement was prepared; the next attempt prepares it again.
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
    ConcurrencyConflict,
)

_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # The schema is not there yet, or not for this user: every message would fail alike, and none would be to blame.
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,
    # A TimeoutError is one.
    OSError,
)


def is_conflict(error: BaseException) -> bool:
    """Whether two transactions got into each other's way, so that the same work succeeds when done again."""
    return isinstance(error, _CONFLICTS)


def outage_of(error: BaseException) -> DatabaseUnavailable | None:
    """The outage that a failed database call stands for, None when the failure is of another kind."""
    if isinstance(error, DatabaseUnavailable):
        return error
    if isinstance(error, TimeoutError):
        return StatementTimedOut(text_of(error))
    is_outage = isinstance(error, _OUTAGES) and not is_conflict(error)
    return DatabaseUnavailable(text_of(error)) if is_outage else None


def text_of(error: BaseException) -> str:
    """Type and message of an exception, in a form that a text column and a header take."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception as failure:
        text = f"{type(error).__name__}, whose text cannot be had: {type(failure).__name__}"
    return text.replace("\x00", "\\0").encode(errors="replace").decode()
