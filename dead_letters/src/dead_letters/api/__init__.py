"""HTTP of the dead letters, for support."""
