"""The rules of a delivery: pure functions of state, message and the time that is passed in."""
