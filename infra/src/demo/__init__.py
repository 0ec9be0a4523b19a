"""The demo: requests of all kinds, flown by a simulated fleet, and judged by the invariants at the end.

- `python -m demo`, behind `make demo`;
- `demo.run.run_scenario`: the same on any stack, for tests that break something meanwhile;
- `demo.invariants`: what has to be true when all requests have ended.
"""
