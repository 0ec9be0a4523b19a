"""The border between command and service, for modules too that .importlinter does not name yet."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dead_letters

PACKAGE = Path(dead_letters.__file__).parent
INSIDE = "dead_letters.command_line"
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_nobody_imports_across(module: Path) -> None:
    is_inside = "command_line" in module.relative_to(PACKAGE).parts
    for imported in imports_of(module.read_text()):
        if imported.startswith(("dead_letters.", "shared_")):
            assert f"{imported}.".startswith(f"{INSIDE}.") == is_inside, imported


def test_an_import_across_would_be_noticed() -> None:
    source = "from dead_letters import tables\nimport dead_letters.queries\n"
    assert list(imports_of(source)) == ["dead_letters.tables", "dead_letters.queries"]
