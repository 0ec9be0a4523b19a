"""I7, I8 and I9, and that nothing is left on the way."""

from collections.abc import Iterable, Iterator

from faultline.history import Proof, Recovery, Repair, Trial

FINISHED = {"resolved", "discarded"}
REFUSED = 409


def nothing_left(trial: Trial) -> tuple[int, Iterable[str]]:
    """Outboxes and queues are empty, no message is held or under suspicion, and every queue is there."""
    final = trial.final

    def offenders() -> Iterator[str]:
        for service, count in final.outbox.items():
            if count:
                yield f"outbox of {service} has {count}"
        for service, count in final.suspects.items():
            if count:
                yield f"{service} has {count} crash suspects"
        for row in final.held:
            yield f"{row['service']} holds {row['message_id']} of {row['session_id']} ({row['error']})"
        for queue, depth in final.queues.items():
            if depth is None:
                yield f"{queue} is missing"
            elif depth:
                yield f"{queue} has {depth}"

    return len(final.queues) + len(final.outbox), offenders()


def only_poison_is_dead(trial: Trial) -> tuple[int, Iterable[str]]:
    """What was poisoned is set aside, for the right reason, and nothing else is."""
    letters = trial.final.dead_letters

    def offenders() -> Iterator[str]:
        left = dict(trial.expected.poison)
        for letter in letters:
            reason = left.pop(letter.session or "", None)
            if reason is None and letter.subscription not in trial.expected.afflicted:
                yield f"{letter.kind} of session {letter.session} is dead on {letter.subscription}: {letter.reason}"
            elif reason is not None and reason != letter.reason:
                yield f"poison {letter.session} is dead for {letter.reason}, not {reason}"
        for session, reason in left.items():
            yield f"poison {session} ({reason}) was not set aside"

    return len(trial.expected.poison) + len(letters), offenders()


def repaired(trial: Trial) -> tuple[int, Iterable[str]]:
    """After fix and replay no dead letter is left, and a second replay changes nothing."""
    letters = trial.final.dead_letters

    def offenders() -> Iterator[str]:
        for letter in letters:
            if letter.state not in FINISHED:
                yield f"a dead letter of {letter.session} on {letter.subscription} is {letter.state}"
        for repair in trial.of(Repair):
            if repair.second_status != REFUSED or repair.changed:
                yield f"{repair.dead_letter_id} was replayed a second time ({repair.second_status})"

    return len(letters), offenders()


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
