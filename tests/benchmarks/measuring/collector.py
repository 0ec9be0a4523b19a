"""Takes what the services export as traces, and does nothing with it until it is asked what came.

`python -m measuring.collector` listens on PORT of the loopback address. A POST, OTLP over HTTP, is answered 200; a GET
is answered with counts as a JSON object.
"""

import asyncio
import json
import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

from local_stack.folder import StackFolder
from local_stack.part import Part
from local_stack.ports import LOOPBACK
from local_stack.processes import spawn

BENCHMARKS = Path(__file__).parent.parent
FIRST_STEP = ("ingestion", "POST /api/v1/deliveryrequests")
LAST_STEP = ("ingestion", "on_delivery_scheduled")
_EMPTY_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Collector:
    """What has come so far."""

    def __init__(self) -> None:
        self._exports: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it ends."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                body = await reader.readexactly(length)
                if head.startswith(b"post "):
                    self._exports.append(body)
                    writer.write(_EMPTY_ANSWER)
                else:
                    counts = json.dumps(self.counts()).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(counts) + counts)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def counts(self) -> dict[str, int]:
        """How many exports, spans, and requests whose first step, or first and last step, are among them."""
        # It is not loaded before somebody asks: whoever is measured meanwhile shares the memory.
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

        spans = 0
        steps_of_trace: dict[bytes, set[tuple[str, str]]] = {}
        for body in self._exports:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
                for span in (span for scope in resource.scope_spans for span in scope.spans):
                    spans += 1
                    steps_of_trace.setdefault(span.trace_id, set()).add((names[0], span.name))
        begun = [steps for steps in steps_of_trace.values() if FIRST_STEP in steps]
        return {
            "exports": len(self._exports),
            "spans": spans,
            "requests_begun": len(begun),
            "requests_whole": sum(LAST_STEP in steps for steps in begun),
        }


class CollectorProcess(Part):
    """The collector as a process, on record with the servers, so that it ends with them."""

    def __init__(self, folder: StackFolder) -> None:
        super().__init__(folder, "collector")

    @property
    def base_url(self) -> str:
        """Where the traces go."""
        return f"http://{LOOPBACK}:{self.port}"

    def launch(self) -> None:
        """Start it."""
        environment = {**os.environ, "PORT": str(self.port), "PYTHONPATH": str(BENCHMARKS)}
        command = (sys.executable, "-m", "measuring.collector")
        self._process = spawn(self.folder, self.name, command, environment=environment, port=self.port)

    def obstacle(self) -> str | None:
        """Why nobody listens."""
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=2).close()
        except OSError as error:
            return str(error)
        return None

    async def whole_traces(self, timeout_s: float) -> dict[str, int]:
        """The counts, once every trace that begins with a request has its last step, or when the time is over."""
        deadline = time.monotonic() + timeout_s
        while True:
            before = await asyncio.to_thread(self._counts)
            await asyncio.sleep(1)
            counts = await asyncio.to_thread(self._counts)
            is_whole = counts == before and 0 < counts["requests_begun"] == counts["requests_whole"]
            if is_whole or time.monotonic() > deadline:
                return counts

    def _counts(self) -> dict[str, int]:
        with urllib.request.urlopen(self.base_url, timeout=30) as answer:  # noqa: S310 - a process of our own
            counts: dict[str, int] = json.load(answer)
        return counts


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Collector().serve, LOOPBACK, int(os.environ["PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
