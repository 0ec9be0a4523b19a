"""Stands in for a service: a process with health checks, which can be told to misbehave (first argument)."""

import http.server
import json
import os
import signal
import sys
import time


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if behaviour == "unready" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({key: os.environ.get(key) for key in SHOWN}).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: the tests look for other lines."""


SHOWN = ("SERVICE_NAME", "DATABASE_URL", "BROKER_URL", "SPEED")
behaviour = sys.argv[1]

print("starting", behaviour, flush=True)
if behaviour == "die":
    time.sleep(0.2)
    sys.exit("cannot find the map")
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Health).serve_forever()
