"""Writes the documents of the services under docs/generated.

python -m documentation            write the files
python -m documentation --check    name the files that differ, and exit with 1 if there are any
"""

import argparse
import json
import sys
from pathlib import Path

from documentation.asyncapi import asyncapi_of
from documentation.canvas import canvas_of
from documentation.services import PACKAGES, load

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = Path("docs/generated")


def documents() -> dict[Path, str]:
    """Every document: its path in the repository and its text."""
    written: dict[Path, str] = {}
    for package in PACKAGES:
        service = load(package)
        openapi = service.app.openapi()
        asyncapi = asyncapi_of(service.consumer, service.published, service.description)
        written[FOLDER / "openapi" / f"{package}.json"] = _json(openapi)
        written[FOLDER / "asyncapi" / f"{package}.json"] = _json(asyncapi)
        written[FOLDER / "services" / f"{package}.md"] = canvas_of(service, openapi)
    return written


def _json(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the documents, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    check: bool = parser.parse_args().check
    differing = []
    for path, text in documents().items():
        file = CHECKOUT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            differing.append(path)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    for path in differing:
        sys.stdout.write(f"{'differs' if check else 'written'}: {path}\n")
    if check and differing:
        sys.exit("run `make docs` and commit what it writes")


if __name__ == "__main__":
    main()
