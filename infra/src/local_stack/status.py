"""What runs in a data folder, for people."""

from dataclasses import dataclass

from rich.table import Table

from local_stack.fleet import NAME as FLEET
from local_stack.fleet import FleetProcess
from local_stack.folder import StackFolder
from local_stack.guardian import NAME as GUARDIAN
from local_stack.guardian import SUPERVISOR
from local_stack.part import Part
from local_stack.records import ProcessRecord, read_records
from local_stack.servers import LocalServers
from local_stack.services import Service, ServiceProcess
from local_stack.supervisor import read_restarts

READY = "ready"


@dataclass(frozen=True)
class PartStatus:
    """One process on record, and whether it can be used."""

    name: str
    pid: int
    port: int | None
    restarts: int
    """How often it died and was started again since the stack came up."""
    condition: str
    """`ready`, or why it is not."""


def status_of(folder: StackFolder) -> list[PartStatus]:
    """All parts on record, in the order of their start; none when nothing is up."""
    servers = LocalServers(folder.root)
    restarts = read_restarts(folder)
    return [
        PartStatus(record.name, record.pid, record.port, restarts.get(record.name, 0), _condition(servers, record))
        for record in read_records(folder)
        if record.name != GUARDIAN
    ]


def status_table(parts: list[PartStatus]) -> Table:
    """The parts as a table for the terminal."""
    table = Table("part", "pid", "port", "restarts", "condition", box=None, pad_edge=False)
    for part in parts:
        table.add_row(part.name, str(part.pid), str(part.port or ""), str(part.restarts or ""), part.condition)
    return table


def _condition(servers: LocalServers, record: ProcessRecord) -> str:
    if not record.is_running:
        return f"ended; see {servers.folder.log(record.name)}"
    if record.is_paused:
        return "paused"
    if record.name == SUPERVISOR:
        return READY
    part = _part(servers, record.name)
    part.adopt()
    return part.obstacle() or READY


def _part(servers: LocalServers, name: str) -> Part:
    for part in (servers.postgres, servers.rabbitmq, servers.rabbitmq.port_mapper):
        if part.name == name:
            return part
    if name == FLEET:
        return FleetProcess(servers)
    return ServiceProcess(servers, Service(name))
