"""The borders between packages hold, and the rules that hold them notice when somebody crosses one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

PLANTED = [
    ("package_service", "domain.py", "import sqlmodel", "Domain rules import no I/O"),
    ("package_service", "domain.py", "import shared_runtime.envelope", "Domain rules import no I/O"),
    ("ingestion", "domain.py", "import aio_pika", "Domain rules import no I/O"),
    ("package_service", "consumers.py", "import drone_scheduler.tables", "No service imports another"),
    ("package_service", "tables.py", "import package_service.consumers", "Inside a service"),
    ("shared_runtime", "store.py", "import shared_contracts.topology", "The runtime knows nothing of drones"),
    ("shared_contracts", "message.py", "import asyncpg", "Contracts need nothing but pydantic"),
    ("dead_letters", "command_line/client.py", "import dead_letters.tables", "The command dlq knows"),
    ("dead_letters", "queries.py", "import dead_letters.command_line.client", "The dead letters run without"),
    ("fleet_simulator", "planted.py", "import delivery.tables", "The simulator talks to public interfaces only"),
]


def lint_imports(first_on_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(first_on_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_border_holds(tmp_path: Path) -> None:
    result = lint_imports(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("package", "module", "line", "rule"), PLANTED)
def test_a_crossed_border_is_noticed(package: str, module: str, line: str, rule: str, tmp_path: Path) -> None:
    (source,) = CHECKOUT.glob(f"*/src/{package}")
    copy = tmp_path / package
    shutil.copytree(source, copy)
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    broken = [found for found in result.stdout.splitlines() if " BROKEN" in found]
    assert any(rule in found for found in broken), result.stdout
