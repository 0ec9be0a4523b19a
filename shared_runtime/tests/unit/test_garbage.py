"""A failure leaves nothing behind that only a search for garbage finds: these are seldom."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from examples import MOMENT, an_envelope

from shared_runtime.consumer import Consumer, Registration
from shared_runtime.processor import Job, Processor
from shared_runtime.tracing import Tracing
from shared_runtime.unit_of_work import States, UnitOfWork


class Large:
    """A message that nobody wants to keep."""


@pytest.fixture(autouse=True)
def _no_search_for_garbage() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def fail(_message: Large, _work: UnitOfWork) -> None:
    raise ConnectionError("the partner is away")


async def fail_later(_message: Large, _work: UnitOfWork) -> None:
    # Suspended once, as a handler that asks somebody else.
    await asyncio.sleep(0)
    raise ConnectionError("the partner is away")


async def be_cancelled(_message: Large, _work: UnitOfWork) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("handler", [fail, fail_later, be_cancelled])
async def test_a_message_whose_handler_fails_is_forgotten_at_once(handler) -> None:
    processor = object.__new__(Processor)
    processor.consumer = Consumer("billing", [])
    processor.tracing = Tracing("billing", traces_per_second=0, exporter=None)

    async def fails() -> "weakref.ref[Large]":
        job = Job(an_envelope(), Registration(Large, handler, (), ()), Large())
        assert await processor._call(job, States(), MOMENT) == []
        assert job.error is not None
        return weakref.ref(job.message)

    assert (await fails())() is None
