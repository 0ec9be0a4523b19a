"""The suite's peers: the same hops and the same rows, built with other tools, to measure the suite beside them."""
