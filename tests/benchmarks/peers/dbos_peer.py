"""DBOS on PostgreSQL: one durable workflow per request, one step per hop, a queue between intake and workers.

`python -m peers.dbos_peer migrate` first, then `... intake` and, several times, `... worker NAME`. The workflow
orchestrates, so there are no messages and no broker; all rows are in one database beside DBOS's own. Steps are repeated
after a crash, and theirs are statements that may be repeated, which is cheaper than DBOS's transactions (two
checkpoints each). The request's row and the start of its workflow are one transaction.
"""

import sys
import threading
from typing import Annotated, Any
from uuid import uuid4

import sqlalchemy
import uvicorn
from dbos import DBOS, DBOSClient, run_dbos_database_migrations
from fastapi import FastAPI, Header, Response
from psycopg_pool import ConnectionPool

from peers.work import BOOK_DRONE, JOIN_DELIVERY, PATH, UPSERT_PACKAGE, Wish, setting

QUEUE = "deliveries"
WORKER_CONCURRENCY = 20
POLLING_INTERVAL_S = 0.1
CONNECTIONS = 20

URL = setting("DATABASE_URL").replace("postgresql://", "postgresql+psycopg://")
rows = ConnectionPool(setting("DATABASE_URL"), max_size=CONNECTIONS, kwargs={"autocommit": True}, open=False)


@DBOS.step()
def register_package(delivery_id: str, package: dict[str, Any]) -> None:
    """Store the package."""
    statement = UPSERT_PACKAGE.format(
        delivery_id="%(delivery_id)s", size="%(size)s", weight_kg="%(weight_kg)s", tag="%(tag)s"
    )
    with rows.connection() as connection:
        connection.execute(statement, {"delivery_id": delivery_id, **package})


@DBOS.step()
def book_drone(delivery_id: str) -> str:
    """Book a free drone."""
    with rows.connection() as connection:
        statement = BOOK_DRONE.format(delivery_id="%(delivery_id)s::uuid")
        found = connection.execute(statement, {"delivery_id": delivery_id}).fetchone()
    assert found is not None
    return str(found[0])


@DBOS.step()
def join_delivery(delivery_id: str, weight_kg: float, drone_id: str) -> None:
    """Store the delivery."""
    statement = JOIN_DELIVERY.format(
        delivery_id="%(delivery_id)s", weight_kg="%(weight_kg)s::float8", drone_id="%(drone_id)s::uuid"
    )
    with rows.connection() as connection:
        values = {"delivery_id": delivery_id, "weight_kg": weight_kg, "drone_id": drone_id}
        connection.execute(statement, values)


@DBOS.step()
def conclude(delivery_id: str) -> None:
    """Tell the request."""
    with rows.connection() as connection:
        connection.execute("UPDATE request SET status = 'Created' WHERE delivery_id = %s", [delivery_id])


@DBOS.workflow()
def deliver(delivery_id: str, package: dict[str, Any]) -> None:
    """All hops of one request."""
    register_package(delivery_id, package)
    drone_id = book_drone(delivery_id)
    join_delivery(delivery_id, package["weight_kg"], drone_id)
    conclude(delivery_id)


app = FastAPI()


class Intake:
    """What starts workflows."""

    engine: sqlalchemy.Engine
    client: DBOSClient


@app.post(PATH, status_code=202)
def accept(wish: Wish, response: Response, x_subject: Annotated[str, Header()]) -> None:
    """Store the request and start its workflow."""
    delivery_id = str(uuid4())
    statement = "INSERT INTO request (delivery_id, owner_id, wish) VALUES (:delivery_id, :owner_id, :wish)"
    with Intake.engine.begin() as connection:
        values = {"delivery_id": delivery_id, "owner_id": x_subject, "wish": wish.model_dump_json()}
        connection.execute(sqlalchemy.text(statement), values)
        Intake.client.enqueue_in_transaction(
            connection,
            {"queue_name": QUEUE, "workflow_name": deliver.__qualname__, "workflow_id": delivery_id},
            delivery_id,
            wish.package.model_dump(),
        )
    response.headers["location"] = f"{PATH}/{delivery_id}"


def receive() -> None:
    """Take requests, until the process is killed."""
    Intake.engine = sqlalchemy.create_engine(URL, pool_size=CONNECTIONS)
    Intake.client = DBOSClient(system_database_engine=Intake.engine, lazy=True)
    uvicorn.run(app, port=int(setting("PORT")), access_log=False)


def work(name: str) -> None:
    """Work off the queue, until the process is killed."""
    rows.open(wait=True)
    DBOS(
        config={
            "name": "deliveries",
            "system_database_url": URL,
            "sys_db_pool_size": CONNECTIONS,
            "executor_id": name,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=WORKER_CONCURRENCY, polling_interval_sec=POLLING_INTERVAL_S)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "migrate":
        run_dbos_database_migrations(system_database_url=URL)
    elif sys.argv[1] == "intake":
        receive()
    else:
        work(sys.argv[2])
