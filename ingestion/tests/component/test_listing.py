"""GET of the collection: the caller's own, newest first, page by page."""

from uuid import UUID

import pytest

from .conftest import Owner
from .test_on_submit_delivery import problem


async def pages_of(owner: Owner, limit: int) -> list[list[UUID]]:
    """All pages, as lists of delivery ids."""
    pages: list[list[UUID]] = []
    cursor: str | None = None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = (await owner.send("GET", params=query)).json()
        pages.append([UUID(item["delivery_id"]) for item in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages


async def test_newest_first_when_listed(owner: Owner) -> None:
    submitted = [await owner.submit() for _ in range(5)]

    assert await pages_of(owner, limit=50) == [submitted[::-1]]


async def test_each_is_on_one_page_when_paged(owner: Owner) -> None:
    submitted = [await owner.submit() for _ in range(5)]
    newest = submitted[::-1]

    assert await pages_of(owner, limit=2) == [newest[:2], newest[2:4], newest[4:]]
    assert await pages_of(owner, limit=5) == [newest]


async def test_later_pages_stay_when_something_is_submitted_meanwhile(owner: Owner) -> None:
    submitted = [await owner.submit() for _ in range(3)]
    first = (await owner.send("GET", params={"limit": 2})).json()
    await owner.submit()

    second = (await owner.send("GET", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [item["delivery_id"] for item in second["items"]] == [str(submitted[0])]


async def test_nothing_of_others_when_listed(owner: Owner) -> None:
    await owner.submit()

    page = (await owner.send("GET", headers={"X-Subject": f"{owner.name}-b"})).json()

    assert page == {"items": [], "next_cursor": None}


async def test_item_is_the_status_when_listed(owner: Owner) -> None:
    story = await owner.new_story()
    await owner.send("DELETE", f"/{story.delivery_id}")
    await owner.hear(story.scheduled(), story.cancelled())

    assert (await owner.send("GET")).json()["items"] == [await owner.status(story.delivery_id)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "query.limit"),
        ({"limit": 201}, "query.limit"),
        ({"limit": "many"}, "query.limit"),
        ({"cursor": "?"}, "query.cursor"),
        ({"cursor": "abc"}, "query.cursor"),
        ({"cursor": "a" * 1000}, "query.cursor"),
        ({"cursor": "ä"}, "query.cursor"),
    ],
)
async def test_refused_when_the_query_is_bad(owner: Owner, query: dict[str, str], field: str) -> None:
    answer = await owner.send("GET", params=query)

    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
