"""How many requests per second become scheduled deliveries: the suite beside its peers, all of them durable.

`make bench`, or `PYTHONPATH=tests/benchmarks python -m run`, runs every contender in each round, on a RabbitMQ and a
PostgreSQL that were started for it. The order rotates from round to round. A round of a contender: a warm-up that finds
its rate, then as many requests as it needs for the time that was asked for, then the verification of all rows. The
suite exports its traces at their default sampling meanwhile. Then come the scenarios, which measure the suite in
another respect each (`scenarios/`). `docs/generated/benchmarks.md` tells all of it; the raw figures and the pictures
are beside it. What was lost or done twice voids the run: exit status 1, and no report. A scenario that could not be
measured is named in the report, and the exit status is 1, too. A run of some contenders or scenarios only is reported
in `.benchmarks`, unless `--output` names another folder. `--help` lists the options.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from measuring.measurement import Measurement
from measuring.observer import LostWork
from scenarios import SCENARIOS, USUAL
from scenarios.scenario import Scenario

import report
from local_stack.errors import StackError
from peers.peer import PEERS, Contender
from peers.suite import Suite
from shared_runtime.errors import text_of

CONTENDERS: tuple[Contender, ...] = (Suite(), *PEERS)
ROOT = Path(__file__).parents[2]
DOCUMENTS = ROOT / "docs" / "generated"
PARTIAL = ROOT / ".benchmarks"
LONGEST_S = 3600.0
VOID = "The run is void: work was refused, lost or done twice."

Figures = dict[str, Any]


async def measure(contender: Contender, options: argparse.Namespace) -> Figures:
    """One round of one contender."""
    with contender.running(options.drones) as running:
        measurement = Measurement(running, options.connections, options.drones)
        rate_per_s = await measurement.warm_up()
        figures = await measurement.measure(rate_per_s, options.seconds)
        wrong = await running.verify(measurement.accepted)
        servers = report.servers(running.servers)
    return {"contender": contender.name, **figures, "wrong": wrong, "servers": servers}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line. Ends the process, with a sentence, when they make no sense."""
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=_count, default=3)
    parser.add_argument("--seconds", type=_duration_s, default=10.0, help="how long a contender is measured in a round")
    parser.add_argument("--connections", type=_count, default=400)
    parser.add_argument("--drones", type=_count, default=80_000)
    parser.add_argument(
        "--only",
        nargs="*",
        choices=names,
        default=names,
        metavar="CONTENDER",
        help=f"some of {', '.join(names)}, or none",
    )
    parser.add_argument(
        "--scenarios",
        nargs="*",
        choices=SCENARIOS,
        default=USUAL,
        metavar="SCENARIO",
        help=f"some of {', '.join(SCENARIOS)}, or none; {', '.join(USUAL)} when it is not given",
    )
    parser.add_argument("--backlog", type=_count, default=30_000, help="how many requests wait for the consumers")
    parser.add_argument(
        "--sizes", type=_count, nargs="+", default=[10_000, 1_000_000], help="how many deliveries are there before"
    )
    parser.add_argument("--output", type=_folder, help="the folder for the report")
    options = parser.parse_args(arguments)
    if options.output is None:
        is_whole = set(options.only) == set(names) and set(options.scenarios) >= set(USUAL)
        options.output = DOCUMENTS if is_whole else PARTIAL
    return options


def _count(text: str) -> int:
    """A whole number above zero, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above zero")
    return int(text)


def _duration_s(text: str) -> float:
    """A length of time, for argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 1 to {LONGEST_S:.0f}")
    return seconds


def _folder(text: str) -> Path:
    """A folder that can be written to, for argparse: made when it is not there."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"no folder to write to: {error}") from None
    return folder


async def compare(contenders: list[Contender], options: argparse.Namespace) -> list[list[Figures]]:
    """All rounds, each in another order. Prints a line per contender and round."""
    rounds: list[list[Figures]] = []
    for number in range(options.rounds if contenders else 0):
        turn = number % len(contenders)
        rounds.append([])
        for contender in contenders[turn:] + contenders[:turn]:
            rounds[-1].append(await measure(contender, options))
            print(json.dumps(rounds[-1][-1]), flush=True)
    return rounds


async def play(scenarios: Iterable[Scenario], options: argparse.Namespace) -> tuple[dict[str, Figures], dict[str, str]]:
    """The figures of each scenario, and why others have none: what the rest took long to measure is not lost.

    Lost work is a fault of the suite, and stands among the figures of its scenario.
    """
    measured: dict[str, Figures] = {}
    failed: dict[str, str] = {}
    for scenario in scenarios:
        try:
            figures = await scenario.measure(options)
            # What cannot be told is found out now, and not when everything else is measured.
            scenario.section(figures)
            measured[scenario.name] = figures
        except LostWork as lost:
            measured[scenario.name] = {"wrong": [str(lost)]}
        except Exception as error:
            traceback.print_exc()
            failed[scenario.name] = text_of(error)
        else:
            print(json.dumps({"scenario": scenario.name, **measured[scenario.name]}), flush=True)
    return measured, failed


async def main() -> int:
    """Measure, print a line per measurement, write the report. Returns the exit status."""
    options = parse()
    contenders = [contender for contender in CONTENDERS if contender.name in options.only]
    try:
        rounds = await compare(contenders, options)
    except LostWork as lost:
        print(VOID, lost, sep="\n", file=sys.stderr)
        return 1
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    scenarios, failed = await play([SCENARIOS[name] for name in SCENARIOS if name in options.scenarios], options)
    asked = {name: value for name, value in vars(options).items() if name != "output"}
    run = {
        "command": report.command(sys.argv[1:]),
        "machine": report.machine(),
        "options": asked,
        "rounds": rounds,
        "scenarios": scenarios,
        "failed": failed,
    }
    wrong = [
        f"{figures['contender']}: requests were refused" for one in rounds for figures in one if figures["refused"]
    ]
    wrong += [f"{figures['contender']}: {fault}" for one in rounds for figures in one for fault in figures["wrong"]]
    wrong += [f"{name}: {fault}" for name, figures in scenarios.items() for fault in figures["wrong"]]
    if wrong:
        print(VOID, *wrong, sep="\n", file=sys.stderr)
        return 1
    report.write(options.output, run, contenders)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(130)
