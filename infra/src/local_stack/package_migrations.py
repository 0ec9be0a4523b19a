"""The process that migrates several databases, one after the other: most of the time goes into loading the libraries.

Run as `python -m local_stack.package_migrations`, with DATABASE_URLS: a JSON object of URLs by package.
"""

import json
import os

from shared_runtime.migrate import migrate


def main() -> None:
    """Apply each package's migrations that its database does not have yet."""
    urls: dict[str, str] = json.loads(os.environ["DATABASE_URLS"])
    for package, url in urls.items():
        print(f"migrating {package}", flush=True)
        migrate(package, url)


if __name__ == "__main__":
    main()
