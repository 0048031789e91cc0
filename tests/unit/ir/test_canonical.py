"""Holds the canonical bytes of nodes: their spelling, their stability, and what is refused."""

from __future__ import annotations

import array
import datetime
import decimal
import enum
import uuid
from typing import Any, Final

import msgspec
import pytest

from ormdb import limits
from ormdb.errors import LimitError, ProtocolError, ValueRangeError, ValueTypeError
from ormdb.ir.canonical import decode_node, encode_node, node_classes, signature
from ormdb.ir.expr import And, Arithmetic, Compare, FieldRef, Literal, Not
from ormdb.ir.graph import GraphQuery, Include, Page
from ormdb.ir.mutation import (
    Connect,
    DeleteWhere,
    GraphRow,
    Insert,
    MutationOutcome,
    Update,
    UpdateWhere,
    Upsert,
    WriteGraph,
)
from ormdb.ir.result import EdgeBlock
from ormdb.ir.schema import FieldDef, IndexDef, IndexField
from ormdb.ir.value import IntType

QUERY = GraphQuery(
    entity="Airport",
    filter=Compare(op=">", left=FieldRef(path=("alt",)), right=Literal(value=5)),
    includes=(Include(relation="departures", limit=5),),
)


class Color(enum.StrEnum):
    RED = "red"


NODE_NAMES: Final = """
    Aggregate And Arithmetic BoolType BytesType Call CheckDef Compare Computed DateType DecimalType
    Delete DurationType EdgeBlock EntityBlock EntityDef EnumType ExpressionDefault
    FanoutBudget FetchStatistics FieldDef FieldRef FloatType GraphBlocks GraphQuery InList
    Include IndexDef IndexField Insert IntType IsNull JsonType ListType Literal LiteralDefault
    MutationOutcome NamedParam Not NowDefault Or OrderSpec Page Param Related RelationDef
    SchemaBundle
    SequenceDefault StructField StructType TextType ThroughDef TimeType TimestampType Update
    Uuid7Default UuidType
"""


def plain(node: Any) -> Any:
    return msgspec.msgpack.decode(encode_node(node))


def packed(tag: str, fields: dict[str, Any]) -> bytes:
    return msgspec.msgpack.encode([tag, fields])


def test_the_bytes_of_a_node_are_those_of_the_documentation() -> None:
    assert encode_node(FieldRef(path=("origin", "name"))) == bytes.fromhex(
        "92 a8 4669656c64526566 81 a4 70617468 92 a6 6f726967696e a4 6e616d65"
    )


def test_a_node_is_a_tag_and_the_fields_that_differ_from_their_default() -> None:
    assert plain(FieldDef(name="n", type=IntType())) == [
        "FieldDef",
        {"name": "n", "type": ["IntType", {}]},
    ]
    assert plain(Page(limit=5)) == ["Page", {"limit": 5}]


def test_the_names_of_tags_and_fields_stay_as_they_are() -> None:
    # Stored catalogs and signatures depend on them: a name may be added here, never changed.
    assert signature(QUERY) == "349cc598db663d5bed7c61396cab6ce5f4d9c7ea97c2e8aaffed3597d7552f8c"
    assert set(node_classes()) >= set(NODE_NAMES.split())


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ([1, "a"], [0, 1, "a"]),
        ((1, "a"), [1, 1, "a"]),
        ({"b": 1, "a": None}, {"a": None, "b": 1}),
        (uuid.UUID(int=1), msgspec.msgpack.Ext(1, bytes(15) + b"\x01")),
        (decimal.Decimal("1.50"), msgspec.msgpack.Ext(2, b"1.50")),
        (datetime.date(1, 1, 2), msgspec.msgpack.Ext(3, b"\0\0\0\x02")),
        (datetime.time(0, 0, 1), msgspec.msgpack.Ext(4, (10**6).to_bytes(8, "big"))),
        (datetime.timedelta(microseconds=-1), msgspec.msgpack.Ext(5, b"\xff" * 16)),
    ],
)
def test_a_value_is_spelled_as_documented(value: Any, spelled: Any) -> None:
    assert plain(Literal(value=value)) == ["Literal", {"value": spelled}]


def test_a_timestamp_is_its_moment_whatever_its_zone() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    local = datetime.datetime(2013, 1, 1, 2, tzinfo=east)
    utc = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
    assert encode_node(Literal(value=local)) == encode_node(Literal(value=utc))
    assert decode_node(encode_node(Literal(value=local))).value.tzinfo is datetime.UTC


def test_a_dict_has_one_spelling_whatever_its_order() -> None:
    one, other = Literal(value={"a": 1, "b": 2}), Literal(value={"b": 2, "a": 1})
    assert encode_node(one) == encode_node(other)


def test_equal_values_of_other_classes_have_other_signatures() -> None:
    found = {signature(Literal(value=value)) for value in (1, 1.0, True, "1", b"1", (1,), [1])}
    assert len(found) == 7


def test_a_subclass_of_a_value_class_is_kept_as_the_value_itself() -> None:
    again = decode_node(encode_node(Literal(value=Color.RED))).value
    assert again == "red"
    assert type(again) is str


def test_buffers_of_a_result_come_back_as_tuples() -> None:
    block = EdgeBlock(
        path=("a",), relation="a", offsets=array.array("q", [0, 2]), targets=memoryview(b"\x01\x02")
    )
    again = decode_node(encode_node(block))
    assert (again.offsets, again.targets) == ((0, 2), (1, 2))


@pytest.mark.parametrize(
    ("node", "error"),
    [
        (Literal(value=float("nan")), ValueRangeError),
        (Literal(value=decimal.Decimal("NaN")), ValueRangeError),
        (Literal(value=2**64), ValueRangeError),
        (Literal(value=-(2**63) - 1), ValueRangeError),
        (Literal(value="\ud800"), ValueTypeError),
        (Literal(value=object()), ValueTypeError),
        (Literal(value={1: 2}), ValueTypeError),
        (Literal(value=datetime.datetime(2013, 1, 1)), ValueTypeError),  # noqa: DTZ001
        (Literal(value=datetime.time(1, tzinfo=datetime.UTC)), ValueTypeError),
        (FieldRef(path="ab"), ValueTypeError),  # type: ignore[arg-type]
        (FieldRef(path=(1,)), ValueTypeError),  # type: ignore[arg-type]
        (Compare(op="=", left=QUERY, right=QUERY), ValueTypeError),  # type: ignore[arg-type]
        (Insert(entity="a", rows=({1: 2},)), ValueTypeError),  # type: ignore[dict-item]
        (Page(limit=True), ValueTypeError),
        (datetime.date(2013, 1, 1), ValueTypeError),
        ("Literal", ValueTypeError),
    ],
)
def test_what_has_no_canonical_bytes_is_refused(node: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode_node(node)


def test_a_refusal_says_which_field_of_which_node_it_is_about() -> None:
    index = IndexDef(name="i", fields=(IndexField(field=5),))  # type: ignore[arg-type]
    with pytest.raises(ValueTypeError, match=r"^IndexDef.fields: IndexField.field: int 5 is not"):
        encode_node(index)


@pytest.mark.parametrize(
    "data",
    [
        packed("Nothing", {}),
        packed("Literal", {}),
        packed("Literal", {"value": 1, "more": 2}),
        packed("FieldRef", {"path": "ab"}),
        packed("FieldRef", {"path": [1]}),
        packed("Compare", {"op": "=", "left": ["Literal", {"value": 1}]}),
        packed("Not", {"operand": ["IntType", {}]}),
        packed("Page", {"limit": None}),  # its default, so it may not be spelled
        packed("Page", {"offset": True}),
        packed("Page", {"offset": 1.0}),
        packed("Literal", {"value": []}),
        packed("Literal", {"value": [2, 1]}),
        packed("Literal", {"value": {1: 2}}),
        packed("Literal", {"value": float("nan")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(9, b"")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(1, b"short")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(2, b"1.5.0")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(2, b"NaN")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(3, b"\0")}),
        packed("Literal", {"value": msgspec.msgpack.Ext(4, b"\xff" * 8)}),
        packed("Literal", {"value": msgspec.msgpack.Ext(5, b"\x7f" * 17)}),
        msgspec.msgpack.encode(["Literal", {"value": 1}, 5]),
        b"\x92\xa4Page\x82\xa5limit\x01\xa5limit\x01",  # one key twice
        b"\x92\xa4Page\x82\xa6offset\x01\xa5limit\x01",  # keys out of order
        b"\x92\xa4Page\x81\xa5limit\xcc\x01",  # a longer spelling of 1
        b"",
    ],
)
def test_bytes_that_are_not_of_a_node_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_node(data)


def nested(depth: int) -> Any:
    node: Any = Literal(value=True)
    for _ in range(depth):
        node = Not(operand=node)
    return node


def test_a_node_that_nests_too_deep_is_refused_both_ways() -> None:
    assert decode_node(encode_node(nested(150))) == nested(150)
    for depth in (limits.NODE_DEPTH_MAX + 1, 100_000):
        with pytest.raises(LimitError, match="flatten it"):
            encode_node(nested(depth))
    data = b"\x92\xa3Not\x81\xa7operand" * 5_000 + encode_node(Literal(value=True))
    with pytest.raises(ProtocolError):
        decode_node(data)


def test_a_node_over_the_size_limit_is_refused_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_node(And(items=(QUERY.filter,) * 3))  # type: ignore[arg-type]
    monkeypatch.setattr(limits, "NODE_BYTES_MAX", len(data) - 1)
    with pytest.raises(ProtocolError, match="send it in parts"):
        decode_node(data)
    with pytest.raises(LimitError, match="split it"):
        encode_node(And(items=(QUERY.filter,) * 3))  # type: ignore[arg-type]


def test_a_field_added_with_a_default_leaves_old_bytes_as_they_are() -> None:
    # What a later version adds is absent from the bytes while it has its default.
    assert "descending" not in plain(IndexField(field="a"))[1]
    assert plain(IndexField(field="a", descending=True))[1]["descending"] is True


SEEN: Final = (("seen", Arithmetic(op="+", left=FieldRef(path=("seen",)), right=Literal(value=1))),)


@pytest.mark.parametrize(
    "node",
    [
        Update(
            entity="Word",
            identity=("a",),
            changes={"best": decimal.Decimal("1.5")},
            expressions=SEEN,
            where=QUERY.filter,
            if_version=7,
        ),
        UpdateWhere(query=QUERY, changes={}, expressions=SEEN),
        DeleteWhere(query=QUERY, budget=5),
        Upsert(
            entity="Word",
            rows=({"text": "a"},),
            by=("text",),
            take=("best",),
            changes={"tags": ("x", "y")},
            expressions=SEEN,
        ),
        WriteGraph(
            rows=(
                GraphRow(entity="Word", values={"text": "a"}, mode="save"),
                GraphRow(entity="Use", values={}, links=(("word", 0),)),
            )
        ),
        Connect(
            entity="Word",
            identity=("a",),
            through="texts",
            targets=((1,), (2,)),
            mode="set",
            values={"at": 3},
        ),
        MutationOutcome(entity="Word", identities=(("a",),), effects=("created",)),
    ],
)
def test_a_statement_comes_back_as_it_was_sent(node: Any) -> None:
    assert decode_node(encode_node(node)) == node


def test_a_pair_of_another_length_or_kind_is_refused() -> None:
    with pytest.raises(ValueTypeError, match="is not a tuple of 2"):
        wrong: Any = (("seen",),)
        encode_node(UpdateWhere(query=QUERY, changes={}, expressions=wrong))
    good = plain(UpdateWhere(query=QUERY, changes={}, expressions=SEEN))[1]
    for expressions in ([["seen"]], [["seen", 1]], [1], [[1, good["expressions"][0][1]]]):
        with pytest.raises(ProtocolError):
            decode_node(packed("UpdateWhere", {**good, "expressions": expressions}))
