"""The floor: the suite's own hops, tables, rows and messages, as fast as we can write them with aio-pika and asyncpg.

`python -m peers.floor SERVICE`, on a database that the suite's migrations have made. Whatever has arrived is one batch:
one statement (inbox, state, outbox; so also one transaction), then one AMQP message with all its events, a CloudEvents
JSON batch. Messages are published from memory; the confirmed ones leave the outbox with the next batch, and what a
crash has left there is published at the start. An event that comes twice violates a constraint; only then the batch is
looked through for such.

It knows the way on which all goes well and no other: nothing is refused, waits in line, is tried again or set aside,
and the events of a delivery keep no order.
"""
