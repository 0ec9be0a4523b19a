"""Text that somebody else wrote, made fit for a terminal. Messages may hold anything at all."""

import unicodedata

ESCAPED = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of what moves the cursor, turns the direction of writing, or cannot be seen."""
CELL_CHARACTERS_MAX = 120


def harmless(text: str, *, keep: str = "\n\t") -> str:
    """The text with everything that a terminal would act upon written as an escape, except the characters of `keep`."""
    return "".join(one if one in keep or not _is_risky(one) else _escaped(one) for one in text)


def one_line(text: str, limit: int = CELL_CHARACTERS_MAX) -> str:
    """The text in one line of at most `limit` characters, for a cell of a table."""
    # Cut first: a text of megabytes is not worked through for the beginning of it.
    line = harmless(" ".join(text[: limit * 4].split()), keep="")
    return line if len(line) <= limit and len(text) <= limit * 4 else f"{line[: limit - 1]}…"


def safe_json(written: str) -> str:
    """The same JSON, with what a terminal would act upon as `\\u` escapes. Only line ends between values stay."""
    return "".join(one if one == "\n" or not _is_risky(one) else _json_escaped(one) for one in written)


def _is_risky(character: str) -> bool:
    return unicodedata.category(character) in ESCAPED


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
