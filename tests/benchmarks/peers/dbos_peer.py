"""DBOS on PostgreSQL: one durable workflow per request, one transaction per hop, a queue between intake and workers.

`python -m peers.dbos_peer migrate` first, then `... intake` and, several times, `... worker NAME`. The workflow
orchestrates, so there are no messages and no broker; all rows are in one database beside DBOS's own. As its
documentation recommends for steps that write to PostgreSQL, a step's checkpoint commits with its rows. The request's
row and the start of its workflow are one transaction too.
"""

import sys
import threading
from typing import Annotated, Any
from uuid import uuid4

import sqlalchemy
import uvicorn
from dbos import DBOS, DBOSClient, SQLAlchemyDatasource, run_dbos_database_migrations
from fastapi import FastAPI, Header, Response
from sqlalchemy import text

from peers.work import BOOK_DRONE, JOIN_DELIVERY, PATH, UPSERT_PACKAGE, Wish, setting

QUEUE = "deliveries"
WORKER_CONCURRENCY = 20
POLLING_INTERVAL_S = 0.1
CONNECTIONS = 20

URL = setting("DATABASE_URL").replace("postgresql://", "postgresql+psycopg://")
engine = sqlalchemy.create_engine(URL, pool_size=CONNECTIONS)
rows = SQLAlchemyDatasource.create(URL, engine=engine)
READ_COMMITTED: Any = {"isolation_level": "READ COMMITTED"}


@rows.transaction(**READ_COMMITTED)
def register_package(delivery_id: str, package: dict[str, Any]) -> None:
    """Store the package."""
    statement = UPSERT_PACKAGE.format(delivery_id=":delivery_id", size=":size", weight_kg=":weight_kg", tag=":tag")
    rows.sql_session().execute(text(statement), {"delivery_id": delivery_id, **package})


@rows.transaction(**READ_COMMITTED)
def book_drone(delivery_id: str) -> str:
    """Book a free drone."""
    statement = BOOK_DRONE.format(delivery_id="CAST(:delivery_id AS uuid)")
    return str(rows.sql_session().execute(text(statement), {"delivery_id": delivery_id}).scalar_one())


@rows.transaction(**READ_COMMITTED)
def join_delivery(delivery_id: str, weight_kg: float, drone_id: str) -> None:
    """Store the delivery."""
    statement = JOIN_DELIVERY.format(delivery_id=":delivery_id", weight_kg=":weight_kg", drone_id=":drone_id")
    values = {"delivery_id": delivery_id, "weight_kg": weight_kg, "drone_id": drone_id}
    rows.sql_session().execute(text(statement), values)


@rows.transaction(**READ_COMMITTED)
def conclude(delivery_id: str) -> None:
    """Tell the request."""
    statement = "UPDATE request SET status = 'Created' WHERE delivery_id = :delivery_id"
    rows.sql_session().execute(text(statement), {"delivery_id": delivery_id})


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

    client: DBOSClient


@app.post(PATH, status_code=202)
def accept(wish: Wish, response: Response, x_subject: Annotated[str, Header()]) -> None:
    """Store the request and start its workflow."""
    delivery_id = str(uuid4())
    statement = "INSERT INTO request (delivery_id, owner_id, wish) VALUES (:delivery_id, :owner_id, :wish)"
    with engine.begin() as connection:
        values = {"delivery_id": delivery_id, "owner_id": x_subject, "wish": wish.model_dump_json()}
        connection.execute(text(statement), values)
        Intake.client.enqueue_in_transaction(
            connection,
            {"queue_name": QUEUE, "workflow_name": deliver.__qualname__, "workflow_id": delivery_id},
            delivery_id,
            wish.package.model_dump(),
        )
    response.headers["location"] = f"{PATH}/{delivery_id}"


def launch(name: str) -> None:
    """Work off the queue, until the process is killed."""
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
        Intake.client = DBOSClient(system_database_engine=engine, lazy=True)
        uvicorn.run(app, port=int(setting("PORT")), access_log=False)
    else:
        launch(sys.argv[2])
