"""Every limit on what a caller may ask, and every period that this service keeps, in one place."""

from datetime import timedelta

BODY_BYTES_MAX = 16 * 1024
"""A valid request needs less than 1 KiB."""

PICKUP_AHEAD_MAX = timedelta(days=30)
"""How far ahead of the request the pickup may be."""

DELIVERY_WINDOW_MAX = timedelta(days=7)
"""From pickup time to deadline. As the deadline is in the future, it also bounds how old a pickup time may be."""

DISTANCE_MIN_M = 1.0
"""Metres between pickup and drop-off, over ground. Below it they are the same place."""

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200

IDEMPOTENCY_KEY_LENGTH_MAX = 255
IDEMPOTENCY_KEY_LIFETIME = timedelta(hours=24)
"""From the first answer on. After it, a key is as good as new."""
PRUNE_INTERVAL_S = 2.0
PRUNE_BATCH_ROWS = 5_000
"""Expired answers removed at a time. With the interval: 2,500 per second and process, more than one takes in."""

OUTCOME_GRACE = timedelta(minutes=2)
"""After the deadline, for the terminal event to arrive. The delivery service ends the delivery by itself at the
deadline, so asking sooner would only double the messages of a slow minute."""
INQUIRY_PAUSE_FIRST = timedelta(minutes=1)
INQUIRY_PAUSE_MAX = timedelta(hours=1)
"""The pause between inquiries doubles up to this, so that an outage of delivery is not followed by a flood."""

POLL_AFTER_S = 2
"""What `Retry-After` tells a client that polls the status resource."""
