"""I1, I3 and the second half of I5: what was accepted ends once, and a key stands for one delivery."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from faultline.history import Change, Operation, Phase, Published, Trial
from shared_contracts.delivery.v1 import DeliveryCancelled, DeliveryCompleted, DeliveryFailed
from shared_contracts.domain_types import TERMINAL_STAGES

PARKED = {"open", "replaying"}
TERMINAL_EVENTS = {event.message_type for event in (DeliveryCompleted, DeliveryCancelled, DeliveryFailed)}


def accepted_in(trial: Trial) -> set[str]:
    """The deliveries that were answered 202."""
    return {
        operation.delivery_id
        for operation in trial.of(Operation)
        if operation.action == "submit" and operation.phase is Phase.OK and operation.delivery_id is not None
    }


def ends_once(trial: Trial) -> tuple[int, Iterable[str]]:
    """Every request that was answered 202 reaches exactly one terminal stage, and one end is announced."""
    accepted = accepted_in(trial)
    ends: dict[str, list[str]] = defaultdict(list)
    left_end: list[str] = []
    for change in sorted(_stages(trial), key=lambda one: one.position):
        if change.status in TERMINAL_STAGES:
            ends[change.key].append(change.status)
        elif change.key in ends:
            left_end.append(f"{change.key} went on to {change.status} after its end")
    announced: dict[str, list[str]] = defaultdict(list)
    for event in trial.of(Published):
        if event.service == "delivery" and event.kind in TERMINAL_EVENTS:
            announced[event.session].append(event.kind)
    stages = {row["delivery_id"]: row["stage"] for row in trial.final.deliveries}

    def offenders() -> Iterator[str]:
        yield from left_end
        for delivery in sorted(accepted | ends.keys()):
            if len(ends[delivery]) != 1:
                yield f"{delivery} ended {len(ends[delivery])} times ({', '.join(ends[delivery]) or 'no end'})"
            elif stages.get(delivery) != ends[delivery][0]:
                yield f"{delivery} ended {ends[delivery][0]} and is {stages.get(delivery)}"
            elif len(announced[delivery]) != 1:
                yield f"the end of {delivery} was announced {len(announced[delivery])} times"

    return len(accepted), offenders()


def _stages(trial: Trial) -> list[Change]:
    return [change for change in trial.of(Change) if change.table == "delivery"]


def sums_up(trial: Trial) -> tuple[int, Iterable[str]]:
    """Accepted = completed + cancelled + failed + parked, and ingestion tells the same of each as delivery does."""
    accepted = accepted_in(trial)
    told = {row["delivery_id"]: (row["stage"], row["reason"]) for row in trial.final.requests}
    recorded = {row["delivery_id"]: (row["stage"], _reason(row)) for row in trial.final.deliveries}
    parked = {letter.session for letter in trial.final.dead_letters if letter.state in PARKED}
    counts = Counter(recorded[one][0] for one in accepted if one in recorded)
    ended = sum(counts[stage] for stage in TERMINAL_STAGES)
    waiting = {one for one in accepted & parked if recorded.get(one, ("", None))[0] not in TERMINAL_STAGES}

    def offenders() -> Iterator[str]:
        if len(accepted) != ended + len(waiting):
            yield f"{len(accepted)} accepted, {ended} ended, {len(waiting)} parked"
        for one in sorted(accepted - told.keys()):
            yield f"{one} was accepted and is gone"
        for one in sorted({*told, *recorded} - parked):
            if told.get(one) != recorded.get(one):
                yield f"{one} is {told.get(one)} to ingestion and {recorded.get(one)} to delivery"

    return len(accepted), offenders()


def _reason(row: dict[str, object]) -> object:
    return "customer_request" if row["stage"] == "Cancelled" else row["failure_reason"]


def one_per_key(trial: Trial) -> tuple[int, Iterable[str]]:
    """An idempotency key stands for one delivery, whatever was answered in between, and there are no others."""
    submissions = [one for one in trial.of(Operation) if one.action == "submit"]
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in submissions:
        if one.phase is Phase.OK and one.delivery_id is not None:
            answers[one.owner, one.key].add(one.delivery_id)
    keys: dict[str, set[str]] = defaultdict(set)
    for one in submissions:
        keys[one.owner].add(one.key)
    kept = Counter(row["owner_id"] for row in trial.final.requests)

    def offenders() -> Iterator[str]:
        for (owner, key), deliveries in answers.items():
            if len(deliveries) > 1:
                yield f"key {key} of {owner} stands for {len(deliveries)} deliveries"
        for owner, count in kept.items():
            if count > len(keys[owner]):
                yield f"{owner} has {count} deliveries for {len(keys[owner])} keys"

    return len(answers), offenders()
