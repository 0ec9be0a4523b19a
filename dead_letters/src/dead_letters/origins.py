"""Where dead letters come from, and where their replays go."""

from collections.abc import Container, Sequence
from uuid import UUID

import msgspec
from pydantic import ValidationError

from dead_letters.domain.dead_letter import DeadLetter, Destination, Objection, Refused, Replay, epoch_of_replay
from dead_letters.domain.states import Form
from shared_contracts.topology import SUBSCRIPTIONS
from shared_runtime.consumer import Subscription
from shared_runtime.envelope import Envelope
from shared_runtime.partition import partition_of
from shared_runtime.replays import OUTCOMES

ORIGINS: dict[str, Subscription] = {one.name: one for one in (*SUBSCRIPTIONS, OUTCOMES)}
"""Every subscription that has dead letters, by its name. The own one of this service is among them."""


def require_origin(known: DeadLetter) -> None:
    """Raises Refused when the subscription that the dead letter came from is not there any more."""
    if known.subscription not in ORIGINS:
        text = f"the subscription {known.subscription} is not there any more: nobody would get the replay"
        raise Refused(Objection.SUBSCRIPTION_UNKNOWN, text, subscription=known.subscription)


def queue_of(subscription: str, session_id: str) -> str:
    """The queue that a session's messages come in on the subscription."""
    origin = ORIGINS[subscription]
    return origin.queue(partition_of(session_id, origin.partitions))


def violations_of(subscription: str, message_type: str | None, data: bytes) -> list[str]:
    """Where and why the subscription would refuse the data, none when it is not known what it wants."""
    origin = ORIGINS.get(subscription)
    models = [one for one in origin.messages if one.message_type == message_type] if origin else []
    try:
        for model in models:
            model.model_validate_json(data)
    except ValidationError as error:
        return [f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors()]
    return []


def destinations_of(known: DeadLetter, events: Sequence[Envelope], known_ids: Container[UUID]) -> list[Destination]:
    """Where each of the events goes, once. `known_ids` are messages that have a dead letter or a replay elsewhere."""
    once = {event.id: event for event in events}
    return [
        Destination(
            message_id=event.id,
            queue=queue_of(known.subscription, event.session_id),
            attempt_epoch=epoch_of_replay(known, event.attempt_epoch),
            is_known=event.id in known_ids,
        )
        for event in once.values()
    ]


def replayed(known: DeadLetter, replay: Replay, event: Envelope) -> Envelope:
    """The event as it is sent again: the same but for its epoch, and for when it expires if that was changed."""
    expires_at = known.expires_at if known.form is Form.EVENT else event.expires_at
    return msgspec.structs.replace(event, attempt_epoch=replay.attempt_epoch, expires_at=expires_at)
