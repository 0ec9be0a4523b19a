"""The rules of the drone scheduler: pure, without input or output, the clock is passed in.

`geography` measures, `fleet` knows what a drone can do, `bookings` decides who holds which drone, `line` who is next.
"""
