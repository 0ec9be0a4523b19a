"""Freezes the schemas and examples of the current version under shared_contracts/released/<version>.

    python -m shared_contracts.release

Refuses while generated files differ, while a change breaks a version released before, or when the version is
released already: what is released never changes.
"""

import argparse
import json
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared_contracts.compatibility import BreakingChange, breaking_changes_of_all
from shared_contracts.generate import CHECKOUT, EXAMPLE_FILES, SCHEMAS, differing_files, documents, schemas

RELEASED = "shared_contracts/released"


def released_versions(root: Path) -> list[str]:
    """The versions that were released, from the oldest to the newest."""
    folders = (folder for folder in (root / RELEASED).glob("*") if folder.is_dir())
    return sorted((folder.name for folder in folders), key=lambda name: [int(part) for part in name.split(".")])


def released_schemas(root: Path, version: str) -> dict[str, dict[str, Any]]:
    """The schemas of a released version, by their path without extension."""
    return _documents_below(root / RELEASED / version / "schemas")


def released_examples(root: Path, version: str) -> dict[str, dict[str, Any]]:
    """The messages among the examples of a released version, by their path without extension."""
    examples = _documents_below(root / RELEASED / version / "examples")
    return {path: example for path, example in examples.items() if not path.startswith("envelopes/")}


def broken_releases(root: Path) -> dict[str, list[BreakingChange]]:
    """The released versions that the current messages are not compatible with, and why."""
    current = schemas()
    changes = {
        version: breaking_changes_of_all(released_schemas(root, version), current)
        for version in released_versions(root)
    }
    return {version: found for version, found in changes.items() if found}


def current_version(root: Path) -> str:
    """The version of the package as its project file says."""
    project = tomllib.loads((root / "shared_contracts/pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def obstacles(root: Path) -> list[str]:
    """Why the current version cannot be released, empty when it can."""
    version = current_version(root)
    found = [f"{path} differs: run python -m shared_contracts.generate" for path in differing_files(root, documents())]
    if version in released_versions(root):
        found.append(f"{version} is released already: raise the version in shared_contracts/pyproject.toml")
    if f"## {version}" not in (root / "shared_contracts/CHANGELOG.md").read_text(encoding="utf-8"):
        found.append(f"shared_contracts/CHANGELOG.md has no section ## {version}")
    for broken, changes in broken_releases(root).items():
        found += [f"breaks {broken}: {change}" for change in changes]
    return found


def release(root: Path) -> Path:
    """Freeze the current version. Returns its folder. Raises FileExistsError when it is there already."""
    folder = root / RELEASED / current_version(root)
    folder.mkdir(parents=True)
    shutil.copytree(root / SCHEMAS, folder / "schemas")
    shutil.copytree(root / EXAMPLE_FILES, folder / "examples")
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m shared_contracts.release", description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the repository (default: %(default)s)")
    root = parser.parse_args(arguments).root
    if not (root / "shared_contracts/pyproject.toml").is_file():
        parser.error(f"{root} is not a checkout of the suite: it has no shared_contracts/pyproject.toml")
    found = obstacles(root)
    for obstacle in found:
        print(obstacle, file=sys.stderr)
    if found:
        return 1
    print(f"released: {release(root).relative_to(root)}")
    return 0


def _documents_below(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        file.relative_to(folder).as_posix().removesuffix(".json"): json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.json"))
    }


if __name__ == "__main__":
    sys.exit(main())
