"""A fleet of drones that flies what the suite books: positions, batteries, telemetry, handovers.

It stands outside the suite and talks to its public interfaces only. `flight`, `fleet`, `reports`, `designs` and
`geography` are the model, without input or output and with the clock passed in; the other modules connect it.
"""
