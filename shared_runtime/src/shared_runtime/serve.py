"""Run a service: `python -m shared_runtime.serve package_service`."""

import gc
import importlib
import signal
import sys
from types import FrameType

import uvicorn

STARTUP_FAILED = 3
GARBAGE_COLLECTION_THRESHOLD = 100_000
"""Objects made, less those freed, between two looks for cycles."""
HTTP_SHARE_OF_STOP = 0.25
"""How much of the time for stopping requests may take that are being answered."""


def main() -> None:
    """Serve the application of the package named on the command line until SIGTERM or SIGINT.

    The exit status is 0 after an orderly stop, 3 when the service could not start.
    """
    if len(sys.argv) != 2:
        sys.exit("usage: python -m shared_runtime.serve PACKAGE")
    package = sys.argv[1]
    app = importlib.import_module(f"{package}.app").app
    settings = app.state.service.settings
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            # Nothing here depends on the address of a client.
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s * HTTP_SHARE_OF_STOP)),
        )
    )

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # After an orderly stop uvicorn sends the signal once more to whoever handled it before, which would end the process
    # as if it had been killed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    # What the imports made stays for good, and most of what a message makes is gone with it: looking for cycles after
    # every 700 new objects finds next to none and costs several per cent of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_COLLECTION_THRESHOLD, 20, 20)
    server.run()
    sys.exit(0 if server.started else STARTUP_FAILED)


if __name__ == "__main__":
    main()
