"""How fast support finds its way among 100,000 dead letters: lists, every filter, groups, over HTTP.

`python tests/benchmarks/dead_letters.py` starts servers and the service of its own, fills the database as the intake
would, asks each question many times and prints p50 and p95 in milliseconds. The exit status is 1 when a p95 is over the
limit. `--help` lists the options.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from local_stack.stack import LocalStack

HEADERS = {"X-Subject": "benchmark", "X-Roles": "support"}
LIMIT_MS = 300.0
# Two hundred causes, some of them common and most of them rare; four subscriptions; a tenth is not open any more.
FILL = """
INSERT INTO dead_letter (
    dead_letter_id, state, service, subscription, form, message_id, message_type, session_id, correlation_id,
    causation_id, event_source, event_time, expires_at, reason, description, exception_type, fingerprint, attempts,
    failures, attempt_epoch, unanswered, is_parked, version, body_bytes, first_failed_at, last_failed_at, changed_at
)
SELECT
    gen_random_uuid(),
    (ARRAY['open', 'open', 'open', 'open', 'open', 'open', 'open', 'open', 'open', 'resolved'])[1 + number % 10],
    service, service || '.delivery-requests', 'event', gen_random_uuid(),
    'dronedelivery.ingestion.delivery_requested.v1', gen_random_uuid()::text, gen_random_uuid()::text, NULL,
    '/services/ingestion', at, NULL,
    (ARRAY['handler_failed', 'refused', 'expired', 'invalid_payload', 'retries_exhausted'])[1 + cause % 5],
    'new row for relation "booking" violates check constraint "cause_' || cause || '" of drone ' || gen_random_uuid(),
    (ARRAY['CheckViolationError', 'KeyError', 'TimeoutError', 'DroneGrounded'])[1 + cause % 4],
    substr(md5(cause::text), 1, 16), 5, 1, 0, 0, true, 0, 512, at, at, at
FROM (
    SELECT number, floor(200 * power(random(), 3))::integer AS cause,
        (ARRAY['package-service', 'drone-scheduler', 'delivery', 'ingestion'])[1 + floor(4 * random())::integer]
            AS service,
        now() - random() * interval '14 days' AS at
    FROM generate_series(1, $1::integer) AS number
) AS made_up
"""


async def fill(connection: asyncpg.Connection, count: int) -> None:
    """So many dead letters, and what the planner has to know about them."""
    await connection.execute(FILL, count, timeout=300)
    await connection.execute("VACUUM ANALYZE dead_letter", timeout=300)


async def questions(connection: asyncpg.Connection, client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """What is asked: a name, a path and its parameters."""
    one = await connection.fetchrow("SELECT * FROM dead_letter ORDER BY last_failed_at OFFSET 1000 LIMIT 1")
    assert one is not None
    rare, rare_text = await connection.fetchrow(
        "SELECT fingerprint, min(substring(description FROM 'cause_[0-9]+')) FROM dead_letter GROUP BY 1 "
        "ORDER BY count(*) LIMIT 1"
    )
    common = await connection.fetchval("SELECT fingerprint FROM dead_letter GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    page = (await client.get("/api/v1/deadletters", params={"limit": 500})).json()["next_after"]
    letters, groups = "/api/v1/deadletters", "/api/v1/deadletters/groups"
    day = {"since": one["last_failed_at"].isoformat(), "until": one["last_failed_at"].replace(hour=23).isoformat()}
    return [
        ("list, first page", letters, {}),
        ("list, 500 of it", letters, {"limit": 500}),
        ("list, second page of 500", letters, {"limit": 500, "after": page}),
        ("list, any state", letters, {"state": "any"}),
        ("list, state resolved", letters, {"state": "resolved"}),
        ("list, state with none", letters, {"state": "discarded"}),
        ("list by service", letters, {"service": one["service"]}),
        ("list by subscription", letters, {"subscription": one["subscription"]}),
        ("list by reason", letters, {"reason": one["reason"]}),
        ("list by unknown reason", letters, {"reason": "no_such_reason"}),
        ("list by session", letters, {"session_id": one["session_id"], "state": "any"}),
        ("list by correlation id", letters, {"correlation_id": one["correlation_id"], "state": "any"}),
        ("list by message id", letters, {"message_id": str(one["message_id"]), "state": "any"}),
        ("list by message type", letters, {"message_type": one["message_type"]}),
        ("list by fingerprint, rare", letters, {"fingerprint": rare}),
        ("list by fingerprint, common", letters, {"fingerprint": common}),
        ("list by exception, common text", letters, {"exception": "checkviolation"}),
        ("list by exception, rare text", letters, {"exception": f'"{rare_text}"'}),
        ("list by exception, no match", letters, {"exception": "nothing is like this"}),
        ("list by time", letters, day),
        ("list by service, reason, text, time", letters,
         {"service": one["service"], "reason": one["reason"], "exception": "booking", **day}),
        ("groups, all open", groups, {}),
        ("groups, any state", groups, {"state": "any", "limit": 500}),
        ("groups by service", groups, {"service": one["service"]}),
        ("groups by exception", groups, {"exception": "booking"}),
        ("groups by time", groups, day),
    ]  # fmt: skip


async def measure(client: httpx.AsyncClient, path: str, parameters: dict[str, Any], rounds: int) -> list[float]:
    """Milliseconds of each answer."""
    taken_ms = []
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = await client.get(path, params=parameters)
        taken_ms.append((time.perf_counter() - begin) * 1_000)
        answer.raise_for_status()
    return taken_ms


async def main() -> int:
    """Measure, and print the table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dead-letters", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    slow = []
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStack(Path(folder), ["dead_letters"]) as stack,
    ):
        connection = await asyncpg.connect(stack.database_url("dead_letters"))
        begin = time.perf_counter()
        await fill(connection, options.dead_letters)
        print(f"{options.dead_letters:,} dead letters in {time.perf_counter() - begin:.1f} s; milliseconds over HTTP:")
        async with httpx.AsyncClient(base_url=stack.base_url("dead_letters"), headers=HEADERS, timeout=60) as client:
            print(f"{'':38}{'p50':>8}{'p95':>8}{'max':>8}")
            for name, path, parameters in await questions(connection, client):
                taken_ms = await measure(client, path, parameters, options.rounds)
                p95_ms = statistics.quantiles(taken_ms, n=20)[-1]
                print(f"{name:38}{statistics.median(taken_ms):8.1f}{p95_ms:8.1f}{max(taken_ms):8.1f}", flush=True)
                if p95_ms > LIMIT_MS:
                    slow.append(name)
        await connection.close()
    print(f"over {LIMIT_MS:.0f} ms at p95: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
