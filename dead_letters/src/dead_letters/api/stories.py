"""What happened in a session, told from the dead letters here and from what waits in the services."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import TypeAdapter, ValidationError

from dead_letters import queries
from dead_letters.api.answers import DeadLetterSummary, SilentService, Story, StoryEvent, StoryKind, WaitingMessage
from dead_letters.domain.audit import Action
from dead_letters.domain.limits import STORY_DEAD_LETTERS_MAX
from dead_letters.domain.states import ReplayState
from dead_letters.settings import Settings
from dead_letters.tables import AuditEntryRow, DeadLetterRow, FailureRow, ReplayRow
from shared_runtime.callers import ROLES, SUBJECT
from shared_runtime.errors import text_of
from shared_runtime.http import ReadSession
from shared_runtime.support import WaitingMessage as Waiting

_WAITING = TypeAdapter(list[Waiting])


class Teller:
    """Turns rows into events of the story."""

    def __init__(self, letters: list[DeadLetterRow]) -> None:
        self._letters = {one.dead_letter_id: one for one in letters}

    def failure(self, row: FailureRow) -> StoryEvent:
        kind = StoryKind.FAILED_AGAIN if row.attempt_epoch else StoryKind.FAILED
        attempts = "1 attempt" if row.attempts == 1 else f"{row.attempts} attempts"
        text = f"{row.reason} after {attempts}: {row.description}"
        return self._event(row.dead_letter_id, row.last_failed_at, kind, text)

    def replay(self, row: ReplayRow) -> Iterator[StoryEvent]:
        text = f"sent to {row.queue}, version {row.version}: {row.why}"
        yield self._event(row.dead_letter_id, row.sent_at, StoryKind.REPLAYED, text, row.actor)
        # That it failed again is told by the failure.
        if row.state == ReplayState.HANDLED and row.answered_at is not None:
            text = f"{row.subscription} has handled it"
            yield self._event(row.dead_letter_id, row.answered_at, StoryKind.HANDLED, text)

    def action(self, row: AuditEntryRow) -> Iterator[StoryEvent]:
        # Replays are told already, with where they went.
        if row.dead_letter_id is not None and row.action != Action.REPLAY:
            kind = StoryKind.EDITED if row.action == Action.EDIT else StoryKind.DID
            yield self._event(row.dead_letter_id, row.at, kind, f"{row.action}: {row.why}", row.actor)

    def _event(
        self, dead_letter_id: UUID, at: datetime, kind: StoryKind, text: str, actor: str | None = None
    ) -> StoryEvent:
        letter = self._letters[dead_letter_id]
        return StoryEvent(
            at=at,
            kind=kind,
            dead_letter_id=dead_letter_id,
            subscription=letter.subscription,
            message_type=letter.message_type,
            actor=actor,
            text=text,
        )


async def tell_story(session: ReadSession, letter: DeadLetterRow, caller: str, settings: Settings) -> Story:
    """The story of the dead letter's session."""
    letters = await queries.session_of(session, letter, STORY_DEAD_LETTERS_MAX)
    summaries = [DeadLetterSummary.model_validate(one) for one in letters]
    session_id, ids, teller = letter.session_id, [one.dead_letter_id for one in letters], Teller(letters)
    events = [teller.failure(row) for row in await queries.failures_of(session, ids)]
    events += [event for row in await queries.replays_of(session, ids) for event in teller.replay(row)]
    events += [event for row in await queries.audit_of(session, ids) for event in teller.action(row)]
    # The others may take their time: no connection is kept for that.
    await session.close()
    told = [] if session_id is None else await _ask_all(session_id, caller, settings)
    return Story(
        session_id=session_id,
        dead_letters=summaries,
        events=sorted(events, key=lambda event: event.at),
        waiting=[one for waits, _ in told for one in waits],
        silent_services=[silent for _, silent in told if silent is not None],
    )


Told = tuple[list[WaitingMessage], SilentService | None]


async def _ask_all(session_id: str, caller: str, settings: Settings) -> list[Told]:
    headers = {SUBJECT: caller, ROLES: "support"}
    async with httpx.AsyncClient(headers=headers, timeout=settings.support_timeout_s, trust_env=False) as client:
        urls = sorted(settings.support_urls.items())
        return await asyncio.gather(*(_ask(client, service, url, session_id) for service, url in urls))


async def _ask(client: httpx.AsyncClient, service: str, url: str, session_id: str) -> Told:
    try:
        async with asyncio.timeout(client.timeout.read):
            answer = await client.get(f"{url.rstrip('/')}/support/sessions/{quote(session_id, safe='')}")
        answer.raise_for_status()
        found = _WAITING.validate_json(answer.content)
    except (httpx.HTTPError, TimeoutError, ValidationError) as error:
        return [], SilentService(service=service, error=text_of(error))
    waiting = [
        WaitingMessage(
            service=service,
            subscription=one.subscription,
            position=one.position,
            message_id=one.message_id,
            message_type=one.type,
            attempts=one.attempts,
            error=one.error,
            is_parked=one.is_parked,
            due_at=one.due_at,
        )
        for one in found
    ]
    return waiting, None
