"""The rules of dead letters: what support may do with them, and what an answer means. No I/O; the time is passed in."""
