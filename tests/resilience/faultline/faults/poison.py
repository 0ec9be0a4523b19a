"""Messages that cannot be handled, and the support engineer who deals with them when the cause is mended."""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel

from faultline.control import KILLS_PREFIX, RAISES_PREFIX
from faultline.faults.fault import Fault
from faultline.support import Letter, Support
from local_stack.broker_definitions import ADMIN_USER
from shared_contracts.ingestion.v1 import DeliveryRequested
from shared_contracts.message import Topic
from shared_contracts.topology import subscriptions_of
from shared_runtime.envelope import JSON, new_id, utc_now
from shared_runtime.errors import DeadLetterReason

TIMEOUT_S = 10.0
POLL_S = 0.1
CRASHES_WITHIN_S = 150.0
UNKNOWN_PREFIX = "dead0000-0000-4000-8000-cccc"
INVALID_PREFIX = "dead0000-0000-4000-8000-dddd"
KIND = DeliveryRequested.message_type
HOPELESS = {DeadLetterReason.MALFORMED, DeadLetterReason.UNSUPPORTED_VERSION}
"""What nobody can mend: no event at all, and one of a version that does not exist."""
QUIET_LOOKS = 20
FAILS_WITHIN_S = 15.0
SHARE = 6
"""Every so-and-so-many-th session is afflicted."""


class Poison(Fault):
    """Messages that nobody can handle: malformed, of an unknown version, invalid, always failing, killing the process.

    When the cause is mended, support mends, replays or discards them.
    """

    name = "poison"
    hold_s = 0.0
    victim = "package_service"

    async def inject(self) -> None:
        self.site.control.cured.unlink(missing_ok=True)
        (subscription,) = (one for one in subscriptions_of("package-service") if one.topic is Topic.DELIVERY_REQUESTS)
        queue = subscription.queue(self.random.randrange(subscription.partitions))
        unknown, invalid = _session(UNKNOWN_PREFIX), _session(INVALID_PREFIX)
        raising, killing = _session(RAISES_PREFIX), _session(KILLS_PREFIX)
        async with await aio_pika.connect(self.site.stack.broker_url(ADMIN_USER), timeout=TIMEOUT_S) as connection:
            channel = await connection.channel(publisher_confirms=True)
            await _publish(channel, queue, b"\x00 this is no JSON", {}, str(uuid4()))
            await _publish_event(channel, queue, unknown, KIND.replace(".v1", ".v99"), {})
            await _publish_event(channel, queue, invalid, KIND, {"delivery_id": invalid})
            await _publish_event(channel, queue, raising, KIND, _request(raising))
            await _publish_event(channel, queue, killing, KIND, _request(killing))
        self.poison = {
            "": DeadLetterReason.MALFORMED,
            unknown: DeadLetterReason.UNSUPPORTED_VERSION,
            invalid: DeadLetterReason.INVALID_PAYLOAD,
            raising: DeadLetterReason.HANDLER_FAILED,
            killing: DeadLetterReason.CRASHES_CONSUMER,
        }
        await self._restart_until_set_aside()

    async def heal(self) -> None:
        self.site.control.cured.touch()
        await self.site.revive([self.victim])
        async with Support.at(self.site.stack.base_url("dead_letters")) as support:
            letters = await support.letters("open")
            for letter in letters:
                await _deal_with(letter, support)
            await support.finished()
            self.repairs = await support.again(letters)

    async def _restart_until_set_aside(self) -> None:
        """What Kubernetes would do with a process that dies again and again, until support knows of all of them."""
        crashes = 0
        async with asyncio.timeout(CRASHES_WITHIN_S), Support.at(self.site.stack.base_url("dead_letters")) as support:
            # Mended earlier, one of them may be handled at its next attempt, and never become a dead letter.
            while set(self.poison) - {one["session_id"] or "" for one in await support.letters("open")}:
                if not self.site.is_running(self.victim):
                    crashes += 1
                    await self.site.launch(self.victim)
                await asyncio.sleep(POLL_S)
        if crashes:
            self.seen.append(f"{self.victim} died of a message {crashes} times; {len(self.poison)} poisoned messages")


class BrokenHandler(Fault):
    """The handlers of one subscription fail for some deliveries, whose sessions are parked, until they are mended.

    Then support replays all of them in bulk: each ends well, and in order.
    """

    name = "broken-handler"
    hold_s = 3.0

    async def inject(self) -> None:
        subscriptions = [
            one
            for service in ("package-service", "drone-scheduler", "delivery", "ingestion")
            for one in subscriptions_of(service)
            if one.is_ordered
        ]
        self._subscription = self.random.choice(subscriptions).name
        self.site.control.cured.unlink(missing_ok=True)
        self.site.control.afflict(self._subscription, SHARE, self.random.randrange(SHARE))
        self.afflicted = [self._subscription]
        async with Support.at(self.site.stack.base_url("dead_letters")) as support:
            with suppress(TimeoutError):
                async with asyncio.timeout(FAILS_WITHIN_S):
                    while not await support.letters("open"):
                        await asyncio.sleep(POLL_S)

    async def heal(self) -> None:
        async with Support.at(self.site.stack.base_url("dead_letters")) as support:
            self.site.control.afflicted.unlink()
            letters: dict[str, Letter] = {}
            quiet_looks = 0
            # What failed at the last moment is still on its way to the dead letters.
            while quiet_looks < QUIET_LOOKS:
                found = await support.letters("open")
                letters |= {letter["dead_letter_id"]: letter for letter in found}
                quiet_looks = 0 if found else quiet_looks + 1
                await (support.replay_all(self._subscription) if found else asyncio.sleep(POLL_S))
            await support.finished()
            self.repairs = await support.again(list(letters.values()))
        if letters:
            parked = sum(bool(letter["is_parked"]) for letter in letters.values())
            self.seen.append(f"{len(letters)} dead letters of {self._subscription}, {parked} parked sessions, replayed")


async def _deal_with(letter: Letter, support: Support) -> None:
    reason, session = letter["reason"], letter["session_id"]
    if reason in HOPELESS:
        await support.discard(letter)
        return
    if reason == DeadLetterReason.INVALID_PAYLOAD:
        await support.edit(letter, json.dumps(_request(session)))
    await support.replay(letter)


def _session(prefix: str) -> str:
    """A session id that is a UUID and begins so."""
    return prefix + uuid4().hex[: 36 - len(prefix)]


def _request(delivery_id: str) -> dict[str, Any]:
    now = utc_now()
    return {
        "delivery_id": delivery_id,
        "owner_id": "poison",
        "pickup": {"latitude": 47.37, "longitude": 8.54},
        "dropoff": {"latitude": 47.38, "longitude": 8.55},
        "pickup_time": now.isoformat(),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "package": {"size": "Small", "weight_kg": 1.0},
    }


async def _publish_event(channel: AbstractChannel, queue: str, session: str, kind: str, data: dict[str, Any]) -> None:
    headers = {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": str(new_id()),
        "cloudEvents_source": "/faultline",
        "cloudEvents_type": kind,
        "cloudEvents_time": utc_now().isoformat(),
        "cloudEvents_sessionid": session,
        "cloudEvents_correlationid": session,
    }
    await _publish(channel, queue, json.dumps(data).encode(), headers, headers["cloudEvents_id"])


async def _publish(channel: AbstractChannel, queue: str, body: bytes, headers: dict[str, Any], identifier: str) -> None:
    message = aio_pika.Message(
        body,
        headers=headers,
        content_type=JSON,
        message_id=identifier,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await channel.default_exchange.publish(message, queue, mandatory=True)
