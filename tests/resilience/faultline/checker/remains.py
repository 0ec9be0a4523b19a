"""I7, I8 and I9, and that nothing is left on the way."""

from collections.abc import Iterable, Iterator

from faultline.control import POISON_PREFIX
from faultline.history import Proof, Recovery, Trial


def nothing_left(trial: Trial) -> tuple[int, Iterable[str]]:
    """Outboxes and queues are empty, no message is held or under suspicion, and every queue is there."""
    final = trial.final
    held = [row for row in final.held if not str(row["session_id"]).startswith(POISON_PREFIX)]

    def offenders() -> Iterator[str]:
        for service, count in final.outbox.items():
            if count:
                yield f"outbox of {service} has {count}"
        for service, count in final.suspects.items():
            if count:
                yield f"{service} has {count} crash suspects"
        for row in held:
            yield f"{row['service']} holds {row['message_id']} of {row['session_id']} ({row['error']})"
        for queue, depth in final.queues.items():
            if depth is None:
                yield f"{queue} is missing"
            elif depth:
                yield f"{queue} has {depth}"

    return len(final.queues) + len(final.outbox), offenders()


def only_poison_is_dead(trial: Trial) -> tuple[int, Iterable[str]]:
    """What was poisoned is set aside once, for the right reason, and nothing else is.

    A dead letter may be in its queue more than once, as every message may; its id tells.
    """
    expected = dict(trial.expected.poison)
    letters = {letter.deadletter_id: letter for letter in trial.final.dead_letters}

    def offenders() -> Iterator[str]:
        left = dict(expected)
        for letter in letters.values():
            reason = left.pop(letter.session, None)
            if reason is None:
                yield f"{letter.kind} of session {letter.session!r} is dead on {letter.subscription}: {letter.reason}"
            elif reason != letter.reason:
                yield f"poison {letter.session} is dead for {letter.reason}, not {reason}"
        for session, reason in left.items():
            yield f"poison {session} ({reason}) was not set aside"

    return len(expected) + len(letters), offenders()


def goes_on(trial: Trial) -> tuple[int, Iterable[str]]:
    """After the heal every queue has its consumers, and progress resumes, within the limit."""
    recoveries = trial.of(Recovery)

    def offenders() -> Iterator[str]:
        for one in recoveries:
            if one.consumers_s is None or one.consumers_s > one.limit_s:
                yield f"without consumers after {one.limit_s:g} s: {', '.join(one.missing) or 'nobody could tell'}"
            if one.progress_s is None or one.progress_s > one.limit_s:
                yield f"no progress within {one.limit_s:g} s"

    return len(recoveries), offenders()


def fired(trial: Trial) -> tuple[int, Iterable[str]]:
    """Every fault of the trial was really there; else the trial is void."""
    proofs = trial.of(Proof)
    return len(proofs), [f"nothing shows that {proof.fault} was there" for proof in proofs if not proof.evidence]
