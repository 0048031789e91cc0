"""Holds that every node and every value comes back from its canonical bytes as it was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ormdb.errors import ProtocolError
from ormdb.ir.canonical import decode_node, encode_node, node_classes, signature
from ormdb.ir.expr import Literal
from ormdb.ir.schema import SchemaBundle
from ormdb.testing.schema_strategies import bundles
from ormdb.testing.strategies import constants, nodes, nodes_of


def spelled(value: Any) -> str:
    """A value with the class of every part; dicts without their order."""
    kind: type = value.__class__
    if kind is dict:
        return "{" + ", ".join(sorted(f"{key!r}: {spelled(value[key])}" for key in value)) + "}"
    if kind in {list, tuple}:
        return f"{kind.__name__}({', '.join(spelled(item) for item in value)})"
    return f"{kind.__name__} {value!r}"


@pytest.mark.parametrize("name", sorted(node_classes()))
def test_a_node_of_every_class_comes_back_equal(name: str) -> None:
    @settings(max_examples=20)
    @given(nodes_of(node_classes()[name], depth=2))
    def check(node: Any) -> None:
        assert decode_node(encode_node(node)) == node

    check()


@given(constants())
def test_a_value_keeps_its_class_and_every_part_of_it(value: Any) -> None:
    again = decode_node(encode_node(Literal(value=value)))
    assert spelled(again.value) == spelled(value)


@given(bundles())
def test_a_bundle_comes_back_equal(bundle: SchemaBundle) -> None:
    assert decode_node(encode_node(bundle)) == bundle


@given(nodes(), nodes())
def test_signatures_are_equal_exactly_for_equal_bytes(left: Any, right: Any) -> None:
    same = encode_node(left) == encode_node(right)
    assert (signature(left) == signature(right)) is same


@given(nodes(), st.data())
def test_bytes_with_a_change_are_refused_or_are_the_bytes_of_another_node(
    node: Any, data: st.DataObject
) -> None:
    written = bytearray(encode_node(node))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] = data.draw(st.integers(0, 255))
    try:
        found = decode_node(bytes(written))
    except ProtocolError:
        return
    assert encode_node(found) == bytes(written)


@given(nodes(), st.binary(min_size=1, max_size=5))
def test_bytes_before_or_behind_a_node_are_refused(node: Any, more: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_node(encode_node(node) + more)
    with pytest.raises(ProtocolError):
        decode_node(encode_node(node)[: -len(more)])


@given(st.binary(max_size=60))
@example(b"\x91" * 100_000)
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc1")
@example(b"\x92\xa7Literal\x81\xa5value\xa1\xff")
@example(b"\x92\xa7Literal\x81\xa5value" + b"\x92\x00" * 5_000)
def test_any_bytes_end_in_a_node_or_a_protocol_error(data: bytes) -> None:
    try:
        found = decode_node(data)
    except ProtocolError:
        return
    assert encode_node(found) == data


@given(st.recursive(constants(), lambda inner: st.lists(inner, max_size=3), max_leaves=10))
def test_messagepack_that_is_no_node_is_refused(plain: Any) -> None:
    try:
        data = msgspec.msgpack.encode(plain)
    except (OverflowError, TypeError):
        return
    with pytest.raises(ProtocolError):
        decode_node(data)
