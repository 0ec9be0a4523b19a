"""Celery on RabbitMQ: a task per hop, a worker per service, an intake that starts the first two tasks.

`python -m peers.celery_peer` is the intake, `python -m celery -A peers.celery_peer worker -Q QUEUE` a worker. As its
documentation recommends where no task may be lost: quorum queues, publisher confirms, late acknowledgement, tasks that
may run twice. States are rows of the application; Celery keeps no results.
"""

from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from celery import Celery
from celery.signals import worker_init, worker_ready
from fastapi import FastAPI, Header, Response
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from peers.work import BOOK_DRONE, JOIN_DELIVERY, PATH, UPSERT_PACKAGE, Wish, setting

INTAKE_CONNECTIONS = 10
WORKER_CONNECTIONS = 8

celery = Celery("choreography", broker=setting("BROKER_URL"))
celery.conf.update(
    task_default_queue_type="quorum",
    task_create_missing_queue_type="quorum",
    task_routes={
        "register_package": {"queue": "packages"},
        "book_drone": {"queue": "bookings"},
        "join_delivery": {"queue": "deliveries"},
        "conclude": {"queue": "requests"},
    },
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=16,
)


class Rows:
    """The database of the service that this process is."""

    pool: ConnectionPool

    def open(self, connections: int) -> None:
        """Connect, once for each thread that works at a time."""
        options = {"autocommit": True}
        self.pool = ConnectionPool(setting("DATABASE_URL"), min_size=connections, max_size=connections, kwargs=options)
        self.pool.wait()

    def one(self, statement: str, **values: Any) -> tuple[Any, ...]:
        """The first row of what the statement returns; no row is none of its columns."""
        with self.pool.connection() as connection:
            cursor = connection.execute(statement, values)
            return (cursor.description and cursor.fetchone()) or ()


rows = Rows()


@worker_init.connect
def connect(**_: Any) -> None:
    """The worker starts."""
    rows.open(WORKER_CONNECTIONS)


@worker_ready.connect
def tell(**_: Any) -> None:
    """The worker consumes."""
    print("ready", flush=True)


@celery.task(name="register_package")
def register_package(delivery_id: str, wish: dict[str, Any]) -> None:
    """Store the package."""
    package = wish["package"]
    statement = UPSERT_PACKAGE.format(
        delivery_id="%(delivery_id)s", size="%(size)s", weight_kg="%(weight_kg)s", tag="%(tag)s"
    )
    rows.one(statement, delivery_id=delivery_id, **package)
    join_delivery.delay(delivery_id, package["weight_kg"], None)


@celery.task(name="book_drone")
def book_drone(delivery_id: str, wish: dict[str, Any]) -> None:
    """Book a free drone."""
    (drone_id,) = rows.one(BOOK_DRONE.format(delivery_id="%(delivery_id)s::uuid"), delivery_id=delivery_id)
    join_delivery.delay(delivery_id, None, str(drone_id))


@celery.task(name="join_delivery")
def join_delivery(delivery_id: str, weight_kg: float | None, drone_id: str | None) -> None:
    """Keep one half, and tell when it was the second."""
    statement = JOIN_DELIVERY.format(
        delivery_id="%(delivery_id)s", weight_kg="%(weight_kg)s::float8", drone_id="%(drone_id)s::uuid"
    )
    known = rows.one(statement, delivery_id=delivery_id, weight_kg=weight_kg, drone_id=drone_id)
    if None not in known:
        conclude.delay(delivery_id)


@celery.task(name="conclude")
def conclude(delivery_id: str) -> None:
    """Tell the request."""
    rows.one("UPDATE request SET status = 'Created' WHERE delivery_id = %(delivery_id)s", delivery_id=delivery_id)


intake = FastAPI()


@intake.post(PATH, status_code=202)
def accept(wish: Wish, response: Response, x_subject: Annotated[str, Header()]) -> None:
    """Store the request and start its tasks."""
    delivery_id, body = str(uuid4()), wish.model_dump(mode="json")
    statement = "INSERT INTO request (delivery_id, owner_id, wish) VALUES (%(delivery_id)s, %(owner_id)s, %(wish)s)"
    rows.one(statement, delivery_id=delivery_id, owner_id=x_subject, wish=Jsonb(body))
    register_package.delay(delivery_id, body)
    book_drone.delay(delivery_id, body)
    response.headers["location"] = f"{PATH}/{delivery_id}"


if __name__ == "__main__":
    rows.open(INTAKE_CONNECTIONS)
    uvicorn.run(intake, port=int(setting("PORT")), access_log=False)
