"""Faults against the real suite, in the manner of Jepsen: load, faults, a history, and a pure checker that judges it.

- `python -m faultline run --seed 17`: one trial, the same for the same seed;
- `python -m faultline run --trials 30`: the long run, which writes `docs/generated/resilience.md`;
- `checker`: the invariants I1 to I9, functions over data.
"""
