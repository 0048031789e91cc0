"""Holds that a histogram gives every range its share, whatever the type of the values."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ormdb.ir.value import BytesType, EnumType, ScalarType, TextType, Type, Value
from ormdb.storage.analyze import describe_column
from ormdb.storage.histogram import HIGHEST_KEY, LOWEST_KEY, Histogram, key_after, make_key
from ormdb.storage.records import stored_value
from ormdb.testing.strategies import scalar_types, values

SLACK = 1e-9


def stored(kind: Type, found: list[Value]) -> list[Value]:
    """Values as a sample holds them."""
    held = [stored_value(kind, value) for value in found]
    if isinstance(kind, TextType | BytesType):
        return [None if value is None else make_key(kind, value) for value in held]
    return held


@st.composite
def columns(draw: st.DrawFn) -> tuple[ScalarType, list[Value], list[bytes]]:
    """A type, a column of its values with NULLs, and keys of values there and elsewhere."""
    kind = draw(scalar_types())
    one = values(kind)
    found = draw(st.lists(one, min_size=1, max_size=40))
    column = draw(st.lists(st.sampled_from([*found, None]), min_size=1, max_size=400))
    asked = [*found, *draw(st.lists(one, max_size=5))]
    return kind, column, [make_key(kind, stored_value(kind, value)) for value in asked]


@given(columns(), st.integers(min_value=1, max_value=100))
def test_more_keys_never_have_less_of_the_field(
    drawn: tuple[ScalarType, list[Value], list[bytes]], times: int
) -> None:
    kind, column, keys = drawn
    described = describe_column(stored(kind, column), kind, slot=0, rows=times * len(column))
    histogram = Histogram(kind, described)
    ends = sorted({LOWEST_KEY, HIGHEST_KEY, *keys, *(key_after(kind, key) for key in keys)})
    below = [histogram.below(end) for end in ends]
    assert all(one <= other + SLACK for one, other in pairwise(below))
    assert below[0] == 0.0
    assert abs(below[-1] - histogram.not_null) < SLACK
    for low in range(len(ends)):
        for high in range(low, len(ends)):
            inner = histogram.between(ends[low], ends[high])
            assert 0.0 <= inner <= histogram.not_null + SLACK
            outer = histogram.between(ends[max(0, low - 1)], ends[min(len(ends) - 1, high + 1)])
            assert inner <= outer + SLACK


@given(columns())
def test_a_column_of_few_values_read_as_a_whole_is_told_exactly(
    drawn: tuple[ScalarType, list[Value], list[bytes]],
) -> None:
    kind, column, keys = drawn
    whole = 2 * column  # no value alone
    described = describe_column(stored(kind, whole), kind, slot=0, rows=len(whole))
    histogram = Histogram(kind, described)
    there = [make_key(kind, stored_value(kind, value)) for value in column if value is not None]
    assert histogram.null_fraction == column.count(None) / len(column)
    assert histogram.distinct == len(set(there))
    for key in keys:
        exact = there.count(key) / len(column)
        found = histogram.equal(key, rows=len(whole))
        assert abs(found - exact) < SLACK if exact else found <= 0.5 / len(whole)
        below = sum(other < key for other in there) / len(column)
        assert abs(histogram.below(key) - below) < SLACK


def test_digits_in_a_text_are_as_even_as_numbers() -> None:
    kind = TextType()
    keys = [make_key(kind, f"customer {number:05}") for number in range(0, 20_000, 7)]
    histogram = Histogram(kind, describe_column(keys, kind, slot=0, rows=len(keys)))
    for number in range(0, 20_000, 37):
        found = histogram.below(make_key(kind, f"customer {number:05}"))
        assert abs(found - number / 20_000) < 0.001


def test_an_enum_is_kept_by_its_position() -> None:
    kind = EnumType(variants=("open", "paid", "sent"))
    described = describe_column([0, 0, 1, 2], kind, slot=3, rows=4)
    histogram = Histogram(kind, described)
    assert histogram.equal(make_key(kind, 0), rows=4) == 0.5
    assert histogram.below(make_key(kind, 2)) == 0.75
