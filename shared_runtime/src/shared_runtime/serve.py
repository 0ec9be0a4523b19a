"""Run a service: `python -m shared_runtime.serve package_service`."""

import importlib
import sys

import uvicorn


def main() -> None:
    """Serve the application of the package named on the command line until SIGTERM or SIGINT."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m shared_runtime.serve PACKAGE")
    package = sys.argv[1]
    app = importlib.import_module(f"{package}.app").app
    settings = app.state.service.settings
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.stop_timeout_s),
    )


if __name__ == "__main__":
    main()
