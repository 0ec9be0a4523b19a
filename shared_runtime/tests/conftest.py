"""The tests' own service and messages are shared by all folders, which are no packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
