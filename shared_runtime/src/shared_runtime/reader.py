"""From an event to the work that it asks for: which handler, and the data as that handler's message."""

from datetime import datetime

import pydantic

from shared_runtime.consumer import Consumer, Registration, Subscription
from shared_runtime.envelope import Envelope
from shared_runtime.errors import DeadLetterReason, PermanentError
from shared_runtime.processor import Job
from shared_runtime.replays import DeadLetterDiscarded


class Reader:
    """Reads the events of one subscription."""

    def __init__(self, consumer: Consumer, subscription: Subscription) -> None:
        self._known = {message.message_type: message for message in subscription.messages}
        self._registrations = consumer.registrations

    def job_for(self, envelope: Envelope, now: datetime) -> Job:
        """Read the event's data. What cannot be handled has its `error` set."""
        model = self._known.get(envelope.type)
        if envelope.type == DeadLetterDiscarded.message_type:
            return self._job_of_discard(envelope)
        if model is None:
            return Job(envelope, error=self._unknown(envelope.type))
        registration: Registration = self._registrations[model]
        if envelope.is_expired(now) and not registration.even_expired:
            description = f"expired at {envelope.expires_at}, read at {now}"
            return Job(envelope, error=PermanentError(description, reason=DeadLetterReason.EXPIRED))
        try:
            message = model.model_validate_json(bytes(envelope.data))
        except pydantic.ValidationError as error:
            description = _without_values(error)
            return Job(envelope, error=PermanentError(description, reason=DeadLetterReason.INVALID_PAYLOAD))
        except Exception as error:
            # A validator of the model itself broke.
            return Job(envelope, error=error)
        return Job(envelope, registration, message)

    def label_of(self, envelope: Envelope) -> str:
        """The type for figures: one name for all that are unknown, because anybody can invent them."""
        return envelope.type if envelope.type in self._known else "unknown"

    def _job_of_discard(self, envelope: Envelope) -> Job:
        try:
            return Job(envelope, message=DeadLetterDiscarded.model_validate_json(bytes(envelope.data)))
        except pydantic.ValidationError as error:
            description = _without_values(error)
            return Job(envelope, error=PermanentError(description, reason=DeadLetterReason.INVALID_PAYLOAD))

    def _unknown(self, kind: str) -> PermanentError:
        name, _, _version = kind.rpartition(".")
        if name and any(known.rpartition(".")[0] == name for known in self._known):
            return PermanentError(f"{kind} is not handled here", reason=DeadLetterReason.UNSUPPORTED_VERSION)
        return PermanentError(f"{kind} is not known here", reason=DeadLetterReason.UNKNOWN_TYPE)


def _without_values(error: pydantic.ValidationError) -> str:
    """Where and why the data does not fit, without the data itself, which may be personal."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
