"""I4 and I5: handlers of a session never overlap, take effect in order, and once per message."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from faultline.history import Batch, Outcome, Published, Trial
from shared_contracts.message import Topic
from shared_contracts.topology import SUBSCRIPTIONS

UNORDERED = {one.name for one in SUBSCRIPTIONS if not one.is_ordered}
SERVED_BY = {
    message.message_type: [one.name for one in SUBSCRIPTIONS if message in one.messages and one.topic == message.topic]
    for subscription in SUBSCRIPTIONS
    for message in subscription.messages
    if message.topic is not Topic.DRONE_TELEMETRY
}
OUTSIDE = {one.name for one in SUBSCRIPTIONS if one.service == "notifications"}


class Effect(NamedTuple):
    """One message whose handler's transaction has committed."""

    commit_at: float
    begun_at: float
    position: int
    """Within its transaction."""
    batch: tuple[str, int, int]
    message_id: str
    epoch: int
    subscription: str
    session: str


def effects_in(trial: Trial) -> list[Effect]:
    """All effects, in the order of the commits.

    What a process did not live to note counts when the inbox knows the message and no other transaction handled it.
    """
    batches = trial.of(Batch)
    certain = [effect for batch in batches if batch.outcome is Outcome.COMMITTED for effect in _effects(batch)]
    handled = {(one.subscription, one.message_id, one.epoch) for one in certain}
    in_inbox = set(trial.final.inbox)
    for batch in batches:
        if batch.outcome is Outcome.UNKNOWN:
            # A transaction commits whole or not at all.
            effects = _effects(batch)
            keys = [(one.subscription, one.message_id, one.epoch) for one in effects]
            if all(key in in_inbox and key not in handled for key in keys):
                certain += effects
                handled.update(keys)
    return sorted(certain)


def _effects(batch: Batch) -> list[Effect]:
    identity = (batch.process, batch.pid, batch.number)
    return [
        Effect(
            batch.commit_at,
            call.begun_at,
            position,
            identity,
            call.message_id,
            call.epoch,
            batch.subscription,
            call.session,
        )
        for position, call in enumerate(batch.calls)
    ]


def never_overlap(trial: Trial) -> tuple[int, Iterable[str]]:
    """Of one session and subscription, no handler begins before the transaction of the one before is to commit."""
    by_session = _by_session(trial)

    def offenders() -> Iterator[str]:
        for (subscription, session), effects in by_session.items():
            for one, next_one in pairwise(sorted(effects, key=lambda effect: (effect.begun_at, effect.commit_at))):
                if one.batch != next_one.batch and next_one.begun_at < one.commit_at:
                    yield f"{subscription}, {session}: {next_one.message_id} began before {one.message_id} ended"

    return sum(map(len, by_session.values())), offenders()


def in_order(trial: Trial) -> tuple[int, Iterable[str]]:
    """The first effects of a session are in the order in which each publisher recorded the messages."""
    published = {event.message_id: event for event in trial.of(Published)}
    place = {message_id: number for number, message_id in enumerate(published)}

    def offenders() -> Iterator[str]:
        for (subscription, session), effects in _by_session(trial).items():
            last: dict[str, Effect] = {}
            for effect in effects:
                event = published.get(effect.message_id)
                if event is None:
                    continue
                before = last.get(event.service)
                if before is not None and place[before.message_id] > place[effect.message_id]:
                    kinds = f"{published[before.message_id].kind} and then {event.kind}"
                    yield f"{subscription} handled {kinds} of {session}, which is not how {event.service} recorded them"
                last[event.service] = effect

    return len(published), offenders()


def once_per_message(trial: Trial) -> tuple[int, Iterable[str]]:
    """Every event that was recorded has exactly one effect at each of its subscribers, or is a dead letter there."""
    counts = Counter((one.subscription, one.message_id) for one in effects_in(trial))
    epochs = Counter((one.subscription, one.message_id, one.epoch) for one in effects_in(trial))
    dead = {
        (letter.subscription, letter.message_id) for letter in trial.final.dead_letters if letter.state != "resolved"
    }
    expected = {
        (subscription, event.message_id): event
        for event in trial.of(Published)
        for subscription in SERVED_BY.get(event.kind, ())
        if subscription not in OUTSIDE
    }

    def offenders() -> Iterator[str]:
        for (subscription, message_id, epoch), count in epochs.items():
            if count > 1:
                yield f"{message_id} (epoch {epoch}) took effect {count} times on {subscription}"
        for (subscription, message_id), count in counts.items():
            if count > 1 and epochs[subscription, message_id, 0] <= 1:
                yield f"{message_id} took effect in {count} epochs on {subscription}"
        for (subscription, message_id), event in expected.items():
            if not counts[subscription, message_id] and (subscription, message_id) not in dead:
                yield f"{event.kind} of {event.session} ({message_id}) never took effect on {subscription}"

    return len(expected), offenders()


def _by_session(trial: Trial) -> dict[tuple[str, str], list[Effect]]:
    sessions: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for effect in effects_in(trial):
        if effect.subscription in UNORDERED or (effect.subscription, effect.message_id) in seen:
            continue
        seen.add((effect.subscription, effect.message_id))
        sessions[effect.subscription, effect.session].append(effect)
    return sessions
