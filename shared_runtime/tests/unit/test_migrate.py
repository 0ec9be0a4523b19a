"""Where migrations are looked for."""

import sys
from pathlib import Path

import pytest

from shared_runtime.migrate import config_for


def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "100% of it's parcels" / "parcels"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    try:
        config = config_for("parcels", "postgresql://nobody@localhost/none")
        assert config.get_main_option("version_locations") == str(package / "migrations" / "versions")
    finally:
        sys.modules.pop("parcels", None)
