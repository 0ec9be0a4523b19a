"""What is measured of the suite, beside the comparison of its rate with that of its peers."""

from scenarios.backlog import BACKLOG
from scenarios.hot import HOT
from scenarios.latency import LATENCY
from scenarios.memory import MEMORY
from scenarios.profile import PROFILE
from scenarios.replicas import REPLICAS
from scenarios.size import SIZE
from scenarios.tracing import TRACING

SCENARIOS = {scenario.name: scenario for scenario in (LATENCY, PROFILE, TRACING, MEMORY, HOT, BACKLOG, REPLICAS, SIZE)}
USUAL = [name for name in SCENARIOS if name not in {PROFILE.name, SIZE.name}]
"""Those that are run when nobody asks for others: neither what needs the right to look into processes, nor what takes
minutes to fill databases."""
