"""How a contender is driven and looked at: the load, what its processes use, what it publishes, what it traces."""
