"""How many requests per second become scheduled deliveries: the suite beside its peers, all of them durable.

`make bench`, or `PYTHONPATH=tests/benchmarks python -m run`, runs every contender in each round, on a RabbitMQ and a
PostgreSQL that were started for it, and writes `docs/generated/benchmarks.md` and the raw figures beside it. The order
rotates from round to round. A round of a contender: a warm-up that finds its rate, then as many requests as it needs
for the time that was asked for, then the verification of all rows. What was lost or done twice voids the run: exit
status 1, and no report. `--help` lists the options.
"""

import argparse
import asyncio
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

import report
from local_stack.part import Part
from peers.peer import PEERS, Contender, Running
from peers.suite import Suite

CONTENDERS: tuple[Contender, ...] = (Suite(), *PEERS)
LOAD = Path(__file__).with_name("load.py")
DOCUMENTS = Path(__file__).parents[2] / "docs" / "generated"
TICKS_PER_S = 100
WARM_UP_S = 2.0
LIMIT_S = 300.0
# Between two looks at how far it is: seldom, and often near the end.
LONGEST_WAIT_S = 0.5
SHORTEST_WAIT_S = 0.02

Figures = dict[str, Any]


def cpu_ms(parts: Sequence[Part]) -> Counter[str]:
    """CPU milliseconds that each part has used so far, with the processes it started."""
    leaders = {part.process.record.pid: part.name for part in parts}
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


def machine_cpu_ms() -> int:
    """CPU milliseconds of everything that runs on this machine."""
    user, nice, system, _, _, interrupt, soft_interrupt, *_ = map(
        int, Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    )
    return (user + nice + system + interrupt + soft_interrupt) * 1000 // TICKS_PER_S


def load_cpu_ms() -> float:
    """CPU milliseconds of all loads that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e3


class Measurement:
    """One contender at work, and what it has been asked for so far."""

    def __init__(self, running: Running, connections: int, drones: int) -> None:
        self._running, self._connections, self._drones = running, connections, drones
        self.accepted = 0

    async def measure(self, rate_per_s: float, seconds: float) -> Figures:
        """Send as many requests as take so long at this rate, and wait until all are scheduled."""
        wanted = math.ceil(rate_per_s * seconds / self._connections) * self._connections
        requests = min(wanted, self._drones - self.accepted)
        command = [sys.executable, str(LOAD), "127.0.0.1", *map(str, (self._running.port, requests, self._connections))]
        used_before, load_before = cpu_ms(self._running.parts), load_cpu_ms()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:  # noqa: ASYNC220
            assert load.stdin is not None
            assert load.stdout is not None
            await asyncio.to_thread(load.stdout.readline)
            begin, machine_before = time.perf_counter(), machine_cpu_ms()
            load.stdin.write("go\n")
            load.stdin.flush()
            await self._wait_for(self.accepted + requests)
            elapsed_s, machine_ms = time.perf_counter() - begin, machine_cpu_ms() - machine_before
            output, _ = await asyncio.to_thread(load.communicate, timeout=60)
        used = cpu_ms(self._running.parts)
        self.accepted += requests
        spent_ms = {name: used[name] - used_before[name] for name in used} | {"load": load_cpu_ms() - load_before}
        others_ms = max(0.0, machine_ms - sum(spent_ms.values()))
        return {
            "requests": requests,
            "scheduled_per_s": round(requests / elapsed_s, 1),
            **json.loads(output),
            "cpu_ms_per_delivery": {name: round(cpu_ms / requests, 3) for name, cpu_ms in spent_ms.items()},
            "others_percent": round(others_ms / (elapsed_s * 10 * (os.cpu_count() or 1)), 1),
        }

    async def _wait_for(self, count: int) -> None:
        """Wait until so many are scheduled. Counting costs the database time, so it is asked seldom until the end."""
        connection = await asyncpg.connect(self._running.ingestion_url)
        begin, at_begin = time.perf_counter(), await connection.fetchval(self._running.scheduled_query)
        try:
            async with asyncio.timeout(LIMIT_S):
                await asyncio.sleep(LONGEST_WAIT_S)
                while (scheduled := await connection.fetchval(self._running.scheduled_query)) < count:
                    for part in self._running.parts:
                        part.process.require_running()
                    rate_per_s = (scheduled - at_begin) / (time.perf_counter() - begin)
                    left_s = (count - scheduled) / rate_per_s if rate_per_s else LONGEST_WAIT_S
                    await asyncio.sleep(min(max(left_s / 2, SHORTEST_WAIT_S), LONGEST_WAIT_S))
        finally:
            await connection.close()


async def measure(contender: Contender, options: argparse.Namespace) -> Figures:
    """One round of one contender."""
    with contender.running(options.drones) as running:
        measurement = Measurement(running, options.connections, options.drones)
        rate_per_s = (await measurement.measure(options.connections, 1))["scheduled_per_s"]
        rate_per_s = (await measurement.measure(rate_per_s, WARM_UP_S))["scheduled_per_s"]
        figures = await measurement.measure(rate_per_s, options.seconds)
        wrong = await running.verify(measurement.accepted)
        servers = report.servers(running.servers)
    return {"contender": contender.name, **figures, "wrong": wrong, "servers": servers}


def parse() -> argparse.Namespace:
    """The options of the command line."""
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long a contender is measured in a round")
    parser.add_argument("--connections", type=int, default=400)
    parser.add_argument("--drones", type=int, default=80_000)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CONTENDER", help=", ".join(names))
    parser.add_argument("--output", type=Path, default=DOCUMENTS, help="the folder for the report")
    return parser.parse_args()


async def main() -> int:
    """Measure, print a line per contender and round, write the report. Returns the exit status."""
    options = parse()
    contenders = [contender for contender in CONTENDERS if contender.name in options.only]
    rounds: list[list[Figures]] = []
    for number in range(options.rounds):
        turn = number % len(contenders)
        rounds.append([])
        for contender in contenders[turn:] + contenders[:turn]:
            rounds[-1].append(await measure(contender, options))
            print(json.dumps(rounds[-1][-1]), flush=True)
    asked = {name: value for name, value in vars(options).items() if name != "output"}
    run = {"machine": report.machine(), "options": asked, "rounds": rounds}
    if any(figures["wrong"] or figures["refused"] for one in rounds for figures in one):
        print("The run is void: work was refused, lost or done twice.", file=sys.stderr)
        return 1
    report.write(options.output, run, contenders)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
