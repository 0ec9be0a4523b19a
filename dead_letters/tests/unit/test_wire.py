"""Whatever a header holds comes back as it was."""

from datetime import UTC
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from dead_letters.wire import from_json, to_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_table_comes_back_as_it_was(table: dict[str, object]) -> None:
    assert from_json(to_json(table)) == table


def test_what_looks_like_a_tag_is_no_tag() -> None:
    table = {"$bytes": "text", "inner": {"$bytes": "AA==", "$decimal": Decimal("1.50")}}
    assert from_json(to_json(table)) == table


def test_nothing_in_it_upsets_a_text_column() -> None:
    assert "\x00" not in to_json({"nul": "\x00", "bytes": b"\x00", "not a number": float("nan")})
