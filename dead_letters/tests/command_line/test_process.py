"""The installed command as a process: ended by Ctrl-C, by a reader that has enough, and with texts nobody can write."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from interface_examples import a_bulk

DLQ = shutil.which("dlq", path=str(Path(sys.executable).parent)) or "dlq"
LINES = 200_000


class LongAnswers(BaseHTTPRequestHandler):
    """An export without end, one bulk replay, and a live view in which nothing happens."""

    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if "/export" in self.path:
            for number in range(LINES):
                self.wfile.write(b'{"number": %d}\n' % number)
        elif "/bulkreplays" in self.path:
            self.wfile.write(json.dumps({"items": [a_bulk(why="Zürich")], "next_after": None}).encode())
        else:
            self.wfile.write(b"event: ready\nid: 0.0\ndata: {}\n\n")
            self.wfile.flush()
            self.server.watched.set()  # type: ignore[attr-defined]
            self.server.over.wait(30)  # type: ignore[attr-defined]

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), LongAnswers) as server:
        server.watched, server.over = threading.Event(), threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


@pytest.fixture
def environment(server: ThreadingHTTPServer) -> dict[str, str]:
    return {**os.environ, "DLQ_URL": f"http://127.0.0.1:{server.server_port}", "DLQ_SUBJECT": "sam"}


def test_a_reader_that_has_enough_is_no_error(environment) -> None:
    script = f"{DLQ} export | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, timeout=60, check=True)
    assert ended.stdout == b'{"number": 0}\n141\n'
    assert ended.stderr == b""


@pytest.mark.parametrize("words", [["export"], ["bulk", "list"], ["bulk", "list", "--json"], ["--help"]])
def test_an_output_that_is_full_is_told_in_one_line(words, environment) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [DLQ, *words], env=environment, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
        assert ended.returncode == 1
        assert ended.stderr.startswith(b"dlq: ")
        assert b"No space left" in ended.stderr
        assert ended.stderr.count(b"\n") == 1
        silent = subprocess.run([DLQ, *words], env=environment, stdout=full, stderr=full, timeout=60, check=False)
        assert silent.returncode == 1


def test_ctrl_c_ends_quietly(environment, server) -> None:
    with subprocess.Popen([DLQ, "watch"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert server.watched.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_output_that_the_terminal_cannot_write_is_no_error(environment) -> None:
    ascii_only = environment | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([DLQ, "bulk", "list"], env=ascii_only, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert rb"Z\xfcrich" in ended.stdout


def test_an_argument_that_is_no_text_is_wrong_usage(environment) -> None:
    for words in ([b"list", b"--reason", b"\xff"], [b"discard", b"--all", b"--yes", b"--why", b"\xff"]):
        ended = subprocess.run([DLQ.encode(), *words], env=environment, capture_output=True, timeout=60, check=False)
        assert ended.returncode == 2
        assert b"Traceback" not in ended.stderr
