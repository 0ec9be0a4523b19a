"""Bounds of what callers may ask for."""

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 500
GROUPS_MAX = 500
TEXT_CHARACTERS_MAX = 1_000
"""Of a reason that somebody gives."""
TERM_CHARACTERS_MAX = 255
"""Of what somebody searches for."""
SELECTION_MAX = 100_000
"""Dead letters in one bulk replay."""
DISCARDS_MAX = 10_000
"""Dead letters in one bulk discard, which is answered when all of it is done."""
IDS_MAX = 5_000
"""Dead letters that a request may name one by one."""
ANSWER_EXPECTED_S = 30 * 60
"""So long a replay may take. A subscription gives up what does not succeed after a quarter of an hour."""
RATE_PER_S_MAX = 500.0
BODY_BYTES_MAX = 4 * 1024 * 1024
"""Of a mended body. One event may have much less; a batch, or what is to be taken apart, may have this."""
PREVIEW_BYTES_MAX = 64 * 1024
"""Longer bodies are not shown with the rest, but fetched on their own."""
STORY_DEAD_LETTERS_MAX = 200
"""Dead letters of one session in its story."""
