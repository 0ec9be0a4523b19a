"""Questions to the person at the terminal. Programs are not asked, but told what is missing."""

import sys

from dead_letters.command_line.exits import Failed, Misused
from dead_letters.command_line.output import Output

DRY_RUN_REASON = "dry run"
"""The interface wants a reason even for what does nothing."""


def require_consent(output: Output, what: str, *, is_given: bool) -> None:
    """Ask whether to do it. Raises Failed when the answer is not yes, Misused when there is nobody to ask."""
    if is_given:
        return
    if not somebody_is_there():
        raise Misused(f"{what}: not without --yes, because there is no terminal to ask at")
    if _answer_to(output, f"{what}. Go on? [y/N] ").lower() not in {"y", "yes"}:
        raise Failed("nothing was done")


def reason_of(output: Output, why: str | None, *, is_dry_run: bool = False) -> str:
    """Why, for the audit. Raises Misused when nobody says it."""
    if why is not None and why.strip():
        return why.strip()
    if is_dry_run:
        return DRY_RUN_REASON
    answer = _answer_to(output, "Why? (for the audit) ") if why is None and somebody_is_there() else ""
    if not answer:
        raise Misused("say why, for the audit: --why TEXT")
    return answer


def somebody_is_there() -> bool:
    """Whether there is a person at a terminal, and not a program."""
    return sys.stdin is not None and sys.stdin.isatty()


def _answer_to(output: Output, question: str) -> str:
    output.stderr.print(question, end="", soft_wrap=True)
    try:
        return input().strip()
    except EOFError:
        return ""
