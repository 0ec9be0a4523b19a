"""Its HTTP interface."""

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func
from sqlmodel import col, select

from journal_service.consumers import Append
from journal_service.tables import JournalRow, PageRow
from shared_runtime import Problem
from shared_runtime.http import Caller, ReadSession, execute

router = APIRouter(prefix="/api/v1")


class AppendBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    how: str = ""
    text: str = ""
    title: str = ""


@router.post("/journals/{session}", status_code=201, responses={409: {"description": "The number is taken."}})
async def append(session: str, body: AppendBody, request: Request) -> dict[str, str]:
    journal = await execute(request, Append(session=session, **body.model_dump()))
    return {"numbers": journal.numbers}


@router.get("/journals/{session}", responses={404: {"description": "There is no such journal"}})
async def get_journal(session: str, reads: ReadSession) -> dict[str, str]:
    row = await reads.get(JournalRow, session)
    if row is None:
        raise Problem(404, "no-journal", f"there is no journal {session}")
    return {"numbers": row.numbers}


@router.get("/pages/{size}")
async def get_page(size: int, reads: ReadSession) -> list[UUID]:
    return [row.page_id for row in (await reads.exec(select(PageRow).where(col(PageRow.size) == size))).all()]


@router.get("/slow")
async def read_slowly(reads: ReadSession, seconds: float) -> str:
    await reads.exec(select(func.pg_sleep(seconds)))
    return "read"


@router.get("/mine")
async def mine(caller: Caller) -> str:
    return caller


@router.get("/broken")
async def broken() -> str:
    raise KeyError("a bug in the interface")
