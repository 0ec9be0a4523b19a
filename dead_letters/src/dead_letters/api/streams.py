"""What has no end, or is too long for one answer: the changes as they happen, and exports."""

import asyncio
import csv
import io
import json
import signal
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from dead_letters import queries
from dead_letters.api.access import Support
from dead_letters.api.answers import DeadLetterSummary
from dead_letters.api.requests import ExportFormat, ExportQuery, LiveQuery
from dead_letters.domain.choice import Choice
from dead_letters.queries import Position
from shared_runtime import Problem

T = TypeVar("T")

router = APIRouter(prefix="/api/v1/deadletters", tags=["streams"])

ROWS_AT_ONCE = 500
POLL_INTERVAL_S = 0.5
HEARTBEAT_S = 10.0
FOLLOWERS_MAX = 50
EXPORTS_MAX = 3
"""Each keeps a connection to the database until it is read to its end."""
COLUMNS = list(DeadLetterSummary.model_fields)
FORMULA_BEGINS = (
    "=",
    "+",
    "-",
    "@",
    "\N{FULLWIDTH EQUALS SIGN}",
    "\N{FULLWIDTH PLUS SIGN}",
    "\N{FULLWIDTH COMMERCIAL AT}",
)
BUSY: dict[int | str, dict[str, Any]] = {503: {"description": "Too many streams are open"}}
EVENTS = "text/event-stream"
NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Seats:
    """How many streams may be open in this process at the same time."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    def require(self) -> None:
        """Raises Problem 503 when all are taken."""
        if self._free <= 0:
            text = "too many of these streams are open: close one, or try again later"
            raise Problem(503, "too-many-streams", text, headers={"Retry-After": "5"})

    async def __aenter__(self) -> None:
        self._free -= 1

    async def __aexit__(self, *_: object) -> None:
        self._free += 1


followers = Seats(FOLLOWERS_MAX)
exports = Seats(EXPORTS_MAX)


async def _begun(stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """The stream with its beginning fetched: its seat is taken, and what goes wrong until here is answered as such."""
    first = await anext(stream, None)

    async def whole() -> AsyncIterator[T]:
        if first is not None:
            yield first
        async for one in stream:
            yield one

    return whole()


def _is_stopping() -> bool:
    # The server waits for its streams when it is told to stop, and tells only the handler of the signal.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


@router.get(
    "/live",
    response_class=StreamingResponse,
    responses=BUSY | {200: {"description": "Server-sent events", "content": {EVENTS: {"schema": {"type": "string"}}}}},
)
async def live(
    query: Annotated[LiveQuery, Query()],
    support: Support,
    request: Request,
    last_event_id: Annotated[str | None, Header(max_length=100, description="Go on behind this event")] = None,
) -> StreamingResponse:
    """Every change of a dead letter as it happens: events `dead-letter`, their data as in the list."""
    followers.require()
    position = Position.parse(last_event_id) if last_event_id else None
    stream = await _begun(_changes(request, query.choice, position))
    return StreamingResponse(stream, media_type=EVENTS, headers=NO_STORE)


async def _changes(request: Request, choice: Choice, position: Position | None) -> AsyncIterator[bytes]:
    engine = request.app.state.engine
    clock = asyncio.get_running_loop()
    async with followers:
        async with AsyncSession(engine) as session:
            horizon = await queries.horizon_of(session)
        # A position that lies ahead is of another database, before this one was restored for example.
        if position is None or position.transaction > horizon:
            position = queries.beginning_at(horizon)
        yield f"event: ready\nid: {position}\ndata: {{}}\n\n".encode()
        told_at = clock.time()
        while not _is_stopping():
            async with AsyncSession(engine) as session:
                changes, reached = await queries.changes_after(session, choice, position, ROWS_AT_ONCE)
            for row, behind in changes:
                data = DeadLetterSummary.model_validate(row).model_dump_json()
                yield f"event: dead-letter\nid: {behind}\ndata: {data}\n\n".encode()
            if changes or clock.time() - told_at >= HEARTBEAT_S:
                # The position also moves when nothing of interest changes.
                yield f": heartbeat\nid: {reached}\n\n".encode()
                told_at = clock.time()
            if len(changes) < ROWS_AT_ONCE:
                await asyncio.sleep(POLL_INTERVAL_S)
            position = reached


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=BUSY
    | {
        200: {
            "description": "All of them, the newest failure first",
            "content": {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/csv")},
        }
    },
)
async def export(query: Annotated[ExportQuery, Query()], support: Support, request: Request) -> StreamingResponse:
    """All dead letters that the filter chooses, as they are at this moment. Bodies are not among it."""
    exports.require()
    rows = await _begun(_rows(request, query.choice))
    write = _as_csv if query.format is ExportFormat.CSV else _as_jsonl
    media_type = "text/csv; charset=utf-8" if query.format is ExportFormat.CSV else "application/jsonl"
    headers = NO_STORE | {"Content-Disposition": f'attachment; filename="deadletters.{query.format}"'}
    return StreamingResponse(write(rows), media_type=media_type, headers=headers)


async def _rows(request: Request, choice: Choice) -> AsyncIterator[list[DeadLetterSummary]]:
    async with exports, AsyncSession(request.app.state.engine) as session:
        # One snapshot: what changes meanwhile is neither left out nor told twice.
        stream = await session.stream_scalars(queries.everything(choice).execution_options(yield_per=ROWS_AT_ONCE))
        async for some in stream.partitions(ROWS_AT_ONCE):
            yield [DeadLetterSummary.model_validate(row) for row in some]


async def _as_jsonl(parts: AsyncIterator[list[DeadLetterSummary]]) -> AsyncIterator[bytes]:
    async for some in parts:
        yield "".join(f"{one.model_dump_json()}\n" for one in some).encode()


async def _as_csv(parts: AsyncIterator[list[DeadLetterSummary]]) -> AsyncIterator[bytes]:
    yield _csv([COLUMNS])
    async for some in parts:
        yield _csv([_cell(value) for value in one.model_dump(mode="json").values()] for one in some)


def _csv(lines: Iterable[Iterable[Any]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return written.getvalue().encode()


def _cell(value: Any) -> Any:
    # Whoever sent the message wrote some of this: a spreadsheet must not take it for a formula.
    if isinstance(value, str) and value.lstrip().startswith(FORMULA_BEGINS):
        return f"'{value}"
    return json.dumps(value) if isinstance(value, bool) else value
