"""PostgreSQL's programs run for root too, wherever the checkout is."""

import os
import subprocess
from pathlib import Path

import pytest

from local_stack.postgres_binaries import as_ordinary_user

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs them as somebody else")


@AS_ROOT
def test_root_runs_them_as_somebody_else() -> None:
    assert subprocess.check_output(as_ordinary_user("id", "-un"), text=True).strip() == "nobody"


@AS_ROOT
def test_they_find_each_other_below_a_folder_that_only_root_may_enter(tmp_path: Path) -> None:
    """As in a checkout in /root. initdb asks with access(2) whether it may execute postgres, and so does `test -x`."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    program = home / "program"
    program.write_text("#!/bin/sh\necho started\n")
    program.chmod(0o755)
    assert subprocess.run(as_ordinary_user("test", "-x", str(program)), check=False).returncode == 0
    assert subprocess.check_output(as_ordinary_user(str(program)), text=True) == "started\n"
