"""How many requests per second become scheduled deliveries: HTTP, four services, RabbitMQ and PostgreSQL, all durable.

`python tests/benchmarks/throughput.py` starts a stack of its own, drives it from another process and prints a line of
figures per round: deliveries scheduled per second from the first request to the last one that ingestion knows to be
scheduled, and CPU milliseconds per delivery by process. `--help` lists the options.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import asyncpg
import httpx

from local_stack.stack import SERVICES, LocalStack

TICKS_PER_S = 100
STAFF = {"X-Subject": "benchmark", "X-Roles": "fleet"}
ROUND_LIMIT_S = 300.0
SCHEDULED = "SELECT count(*) FROM delivery_progress WHERE stage = 'Created'"


def cpu_ms(stack: LocalStack) -> Counter[str]:
    """CPU milliseconds that each part of the stack has used so far, with the processes it started."""
    leaders = {stack.part(name).process.record.pid: name for name in (*SERVICES, "postgresql", "rabbitmq")}
    used: Counter[str] = Counter()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parent, session = int(fields[1]), int(fields[3])
        name = leaders.get(int(file.parent.name)) or leaders.get(session) or leaders.get(parent)
        if name is not None:
            used[name] += (int(fields[11]) + int(fields[12])) * 1000 // TICKS_PER_S
    return used


async def bring_drones(stack: LocalStack, drones: int) -> None:
    """One drone through the front door, and as many like it straight into the table."""
    design = {"payload_kg": 5, "range_m": 500_000, "battery_percent": 100, "cruise_speed_mps": 20}
    async with httpx.AsyncClient(base_url=stack.base_url("drone_scheduler"), headers=STAFF) as client:
        place = {"location": {"latitude": 47.4, "longitude": 8.5}}
        (await client.post("/api/v1/drones", json=design | place)).raise_for_status()
    connection = await asyncpg.connect(stack.database_url("drone_scheduler"))
    columns = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'drone' AND is_generated = 'NEVER'"
    )
    values = {
        "drone_id": "gen_random_uuid()",
        "latitude": "47.3 + random() * 0.2",
        "longitude": "8.4 + random() * 0.2",
    }
    names = [record[0] for record in columns]
    selected = ", ".join(values.get(name, name) for name in names)
    await connection.execute(
        f"INSERT INTO drone ({', '.join(names)}) SELECT {selected} FROM drone, generate_series(1, {drones})"  # noqa: S608
    )
    await connection.execute("VACUUM ANALYZE drone")
    await connection.close()


async def one_round(stack: LocalStack, requests: int, connections: int) -> dict[str, object]:
    """Send the requests, and wait until all are scheduled."""
    ingestion = await asyncpg.connect(stack.database_url("ingestion"))
    before, cpu_before = await ingestion.fetchval(SCHEDULED), cpu_ms(stack)
    host, _, port = stack.base_url("ingestion").removeprefix("http://").partition(":")
    command = [str(Path(__file__).with_name("load.py")), host, port, str(requests), str(connections)]
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as load:  # noqa: ASYNC220
        async with asyncio.timeout(ROUND_LIMIT_S):
            while await ingestion.fetchval(SCHEDULED) - before < requests:
                await asyncio.sleep(0.1)
        elapsed_s = time.perf_counter() - begin
        output, _ = await asyncio.to_thread(load.communicate, timeout=60)
    spent = cpu_ms(stack)
    await ingestion.close()
    return {
        "scheduled_per_s": round(requests / elapsed_s, 1),
        **json.loads(output),
        "cpu_ms_per_delivery": {name: round((spent[name] - cpu_before[name]) / requests, 3) for name in sorted(spent)},
    }


async def main() -> None:
    """Measure, and print a JSON object per round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=12_000)
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--drones", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.requests % options.connections:
        parser.error("--requests is to be a multiple of --connections")
    with tempfile.TemporaryDirectory() as folder:
        stack = LocalStack(Path(folder))
        await asyncio.to_thread(stack.start)
        try:
            await bring_drones(stack, options.drones)
            for _ in range(options.rounds):
                figures = await one_round(stack, options.requests, options.connections)
                sys.stdout.write(json.dumps(figures) + "\n")
                sys.stdout.flush()
        finally:
            await asyncio.to_thread(stack.stop)


if __name__ == "__main__":
    asyncio.run(main())
