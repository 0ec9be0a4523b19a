"""Makes the states of these tests importable: the folder is no package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
