"""A service for the tests: it writes the numbers that it is sent into journals, and fails where it is told to."""
