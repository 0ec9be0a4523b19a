"""The whole choreography in one process and one thread: real handlers, pretended tables, network and clock.

A model for tests. Its tables are dictionaries and its queues are lists, so it proves nothing about transactions, locks,
acknowledgements or files: that is what the tests on real servers are for. What it proves is about the handlers: that
they keep their promises whatever comes twice, late, in another order, or with a crash in between. Because nothing is
waited for, it lives through thousands of such histories in the time in which real servers live through ten.
"""
