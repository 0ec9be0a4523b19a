"""Writes what is made from the messages: JSON Schemas, examples and the pages under docs/generated.

python -m shared_contracts.generate            write the files
python -m shared_contracts.generate --check    name the files that differ, and exit with 1 if there are any
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared_contracts.catalogue import MESSAGES, MessageName
from shared_contracts.example_messages import EXAMPLES
from shared_contracts.generation.envelopes import binary_mode, json_batch
from shared_contracts.generation.flow_page import flow_page
from shared_contracts.generation.messages_page import messages_page
from shared_contracts.generation.schemas import message_schema

CHECKOUT = Path(__file__).resolve().parents[3]

SCHEMAS = "shared_contracts/schemas"
EXAMPLE_FILES = "shared_contracts/examples"
PAGES = "docs/generated"


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every message, by its path without extension."""
    return {MessageName.parse(message_type).path: message_schema(message) for message_type, message in MESSAGES.items()}


def documents() -> dict[str, str]:
    """Every generated file: its path in the repository and its text."""
    return {
        **{f"{SCHEMAS}/{path}.json": _json(schema) for path, schema in schemas().items()},
        **{f"{EXAMPLE_FILES}/{example.path}.json": _json(example.body) for example in EXAMPLES},
        f"{EXAMPLE_FILES}/envelopes/binary_mode.json": _json(binary_mode()),
        f"{EXAMPLE_FILES}/envelopes/json_batch.json": _json(json_batch()),
        f"{PAGES}/messages.md": messages_page(),
        f"{PAGES}/flow.md": flow_page(),
    }


def differing_files(root: Path, expected: Mapping[str, str]) -> list[str]:
    """The paths below `root` whose files are missing, have another text or should not be there."""
    differing = [path for path, text in expected.items() if _text(root / path) != text]
    return sorted([*differing, *_leftovers(root, expected)])


def write(root: Path, expected: Mapping[str, str]) -> list[str]:
    """Make the files below `root` the expected ones. Returns the paths that were written or removed."""
    differing = differing_files(root, expected)
    for path in differing:
        file = root / path
        if path in expected:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(expected[path], encoding="utf-8")
        else:
            file.unlink()
    return differing


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m shared_contracts.generate", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, name the files that differ")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the repository (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not (options.root / "shared_contracts").is_dir():
        parser.error(f"{options.root} is not a checkout of the suite: it has no folder shared_contracts")
    if options.check:
        differing = differing_files(options.root, documents())
        for path in differing:
            print(f"differs: {path}")
        if differing:
            print("run: python -m shared_contracts.generate", file=sys.stderr)
        return 1 if differing else 0
    for path in write(options.root, documents()):
        print(f"written: {path}")
    return 0


def _leftovers(root: Path, expected: Mapping[str, str]) -> list[str]:
    # Other generators write to the pages' folder, so only these two belong to this one alone.
    files = (file for folder in (SCHEMAS, EXAMPLE_FILES) for file in (root / folder).rglob("*") if file.is_file())
    return [path for file in files if (path := file.relative_to(root).as_posix()) not in expected]


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
