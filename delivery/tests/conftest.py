import sys
from pathlib import Path

# The stories are shared by the unit and the component tests, which are no package.
sys.path.insert(0, str(Path(__file__).parent))
