"""What it reacts to."""

import asyncio
import os
import time
from collections import Counter
from typing import NoReturn

import asyncpg
from msgspec.structs import replace
from pydantic import BaseModel

from journal_service.domain import Journal, Page
from journal_service.messages import ENTRIES, Entry, Misdirected, Noted, Remark, Unheard
from journal_service.tables import JournalRow, PageRow
from shared_runtime import Consumer, PermanentError, Problem, RowStore, Tick, TransientError, UnitOfWork, loaded_by
from shared_runtime.envelope import MAX_DATA_BYTES, new_id

consumer = Consumer("journal", [ENTRIES], [RowStore(Journal, JournalRow), RowStore(Page, PageRow)])

attempts: Counter[tuple[str, int]] = Counter()
"""How often this process has called the handler, by session and number."""
IS_MENDED = False
"""Whether this version of the service has no bugs any more."""
ticks: list[float] = []
fail_at_ticks: set[int] = set()
"""Which of the ticks are to fail."""


@consumer.handles(Entry, loads=[loaded_by(Journal, lambda entry: entry.session)])
async def on_entry(entry: Entry, work: UnitOfWork) -> None:
    """Note the number, after whatever is to go wrong."""
    attempts[entry.session, entry.number] += 1
    note(entry.session, entry.number, work)
    await misbehave(entry, work)


@consumer.handles(Remark, loads=[loaded_by(Journal, lambda remark: remark.session)], even_expired=True)
def on_remark(remark: Remark, work: UnitOfWork) -> None:
    """Note the number."""
    note(remark.session, remark.number, work)


def note(session: str, number: int, work: UnitOfWork) -> Journal:
    journal = work.get(Journal, session) or Journal(session)
    journal = replace(journal, numbers=f"{journal.numbers}{number},")
    work.put(journal)
    work.publish(Noted(session=session, number=number))
    return journal


async def misbehave(entry: Entry, work: UnitOfWork) -> None:  # noqa: PLR0912 - a list of misdeeds
    match entry.how.split():
        case []:
            pass
        case ["raise"]:
            raise ValueError(entry.text or "bug")
        case ["raise", times] if attempts[entry.session, entry.number] <= int(times):
            raise ValueError("bug")
        case ["refuse"]:
            raise PermanentError("not today", reason="not_today")
        case ["refuse-until-mended"] if not IS_MENDED:
            raise PermanentError("a bug", reason="bug")
        case ["transient"]:
            raise TransientError("not yet")
        case ["transient", times] if attempts[entry.session, entry.number] <= int(times):
            raise TransientError("not yet")
        case ["check"]:
            work.put(Page(new_id(), entry.text or "large", 5_000))
        case ["page"]:
            work.put(Page(new_id(), entry.text))
        case ["no-title"]:
            work.put(Page(new_id(), None))
        case ["wrong-type"]:
            work.put(Page(new_id(), "wrong", "many"))  # type: ignore[arg-type]
        case ["not-loaded"]:
            work.get(Page, new_id())
        case ["cancelled"]:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        case ["exit"]:
            os._exit(9)
        case ["exit-when-tried-again"]:
            if attempts[entry.session, entry.number] > 1 or os.path.exists(entry.text):  # noqa: ASYNC240, PTH110
                os._exit(9)
            open(entry.text, "x").close()  # noqa: ASYNC230, PTH123
            raise TransientError("the first time")
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case ["block", seconds]:
            time.sleep(float(seconds))  # noqa: ASYNC251 - the point
        case ["publish-too-much"]:
            work.publish(Noted(session=entry.session, number=entry.number, text="x" * MAX_DATA_BYTES))
        case ["publish-unheard"]:
            work.publish(Unheard(session=entry.session, number=entry.number))
        case ["publish-nowhere"]:
            work.publish(Misdirected(session=entry.session, number=entry.number))
        case _:
            pass


class Append(BaseModel):
    """A client adds a number."""

    session: str
    number: int
    how: str = ""
    text: str = ""
    title: str = ""


@consumer.handles(Append, loads=[loaded_by(Journal, lambda command: command.session)])
async def on_append(command: Append, work: UnitOfWork) -> Journal:
    """Note the number, unless it is there already."""
    known = work.get(Journal, command.session)
    if known is not None and f"{command.number}," in known.numbers:
        raise Problem(409, "number-taken", f"{command.number} is there already", number=command.number)
    if command.title:
        work.put(Page(new_id(), command.title))
    journal = note(command.session, command.number, work)
    entry = Entry(session=command.session, number=command.number, how=command.how, text=command.text)
    await misbehave(entry, work)
    return journal


@consumer.when_due(Journal, "due_at")
def on_journal_due(journal: Journal, work: UnitOfWork) -> None:
    """Note that it was due, once."""
    noted = replace(journal, numbers=f"{journal.numbers}due,")
    match journal.when_due:
        case "clear":
            work.put(replace(noted, due_at=None))
        case "forget":
            work.put(noted)
        case "fail":
            fail()
        case "refused":
            work.put(replace(noted, due_at=None))
            work.put(Page(new_id(), None))
        case _:
            raise AssertionError(journal.when_due)


def fail() -> NoReturn:
    raise ValueError("bug")


async def load_failure(connection: asyncpg.Connection, _ticks: object) -> list[Journal]:
    """A loader that can be told to fail, by a page of that title."""
    if await connection.fetchval("SELECT count(*) FROM page WHERE title = 'the loader fails'"):
        await connection.fetch("SELECT $1::integer", 1, 2)
    return []


@consumer.every(0.2, loads=[load_failure])
def on_tick(_tick: Tick, _work: UnitOfWork) -> None:
    """Count."""
    ticks.append(time.monotonic())
    if len(ticks) in fail_at_ticks:
        raise ValueError("this tick fails")
