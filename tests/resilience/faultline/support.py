"""What a support engineer does after a fault: look at the dead letters, mend, replay, and replay again by mistake."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx

from faultline.history import Repair

ENGINEER = {"X-Subject": "faultline", "X-Roles": "support"}
LETTERS = "/api/v1/deadletters"
BULK_REPLAYS = "/api/v1/bulkreplays"
TIMEOUT_S = 15.0
POLL_S = 0.2
WITHIN_S = 60.0
PAGE_LENGTH = 500
UNFINISHED = ("open", "replaying")
WHY = "the cause is mended"

Letter = Mapping[str, Any]


class Support:
    """The interface of the dead letters."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def at(cls, base_url: str) -> AsyncIterator[Self]:
        """A connection to the service, closed at the end."""
        async with httpx.AsyncClient(base_url=base_url, headers=ENGINEER, timeout=TIMEOUT_S, trust_env=False) as client:
            yield cls(client)

    async def letters(self, state: str = "any") -> list[Letter]:
        """The dead letters in this state. Raises what httpx raises."""
        found: list[Letter] = []
        after: str | None = None
        while True:
            query = {"state": state, "limit": PAGE_LENGTH} | ({"after": after} if after else {})
            page = await self._asked("GET", LETTERS, params=query)
            found += page["items"]
            if (after := page["next_after"]) is None:
                return found

    async def edit(self, letter: Letter, body: str) -> None:
        """Mend the body."""
        wanted = {"body": body, "if_version": letter["version"], "why": WHY}
        await self._asked("PUT", f"{LETTERS}/{letter['dead_letter_id']}/body", json=wanted)

    async def replay(self, letter: Letter) -> None:
        """Send it again."""
        await self._asked("POST", f"{LETTERS}/{letter['dead_letter_id']}/replay", json={"why": WHY})

    async def discard(self, letter: Letter) -> None:
        """Give it up."""
        await self._asked("POST", f"{LETTERS}/{letter['dead_letter_id']}/discard", json={"why": "nobody can mend it"})

    async def replay_all(self, subscription: str) -> None:
        """Replay all open ones of the subscription in bulk, a canary first, and wait for the end of it."""
        wanted = {"filter": {"subscription": subscription}, "canary": 1, "rate_per_s": 50.0, "why": WHY}
        location = f"{BULK_REPLAYS}/{(await self._asked('POST', BULK_REPLAYS, json=wanted))['bulk_replay_id']}"
        async with asyncio.timeout(WITHIN_S):
            while (await self._asked("GET", location))["state"] == "running":
                await asyncio.sleep(POLL_S)

    async def finished(self) -> None:
        """Wait until nothing is open or under way any more. Raises TimeoutError."""
        async with asyncio.timeout(WITHIN_S):
            for state in UNFINISHED:
                while await self.letters(state):
                    await asyncio.sleep(POLL_S)

    async def again(self, letters: list[Letter]) -> list[Repair]:
        """Replay each once more, as somebody may by mistake; what came of it."""
        before = {letter["dead_letter_id"]: letter for letter in await self.letters()}
        answers = {
            letter["dead_letter_id"]: await self._client.post(
                f"{LETTERS}/{letter['dead_letter_id']}/replay", json={"why": "once more, by mistake"}
            )
            for letter in letters
        }
        after = {letter["dead_letter_id"]: letter for letter in await self.letters()}
        return [
            Repair(
                dead_letter_id=name,
                state=before[name]["state"],
                second_status=answer.status_code,
                changed=after[name] != before[name],
            )
            for name, answer in answers.items()
        ]

    async def _asked(self, method: str, path: str, **options: Any) -> Any:
        return (await self._client.request(method, path, **options)).raise_for_status().json()
