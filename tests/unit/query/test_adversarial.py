"""Holds that queries made to break the engine get the right answer or a typed error, in bounded
memory, and that the next query is answered as ever."""

from __future__ import annotations

import datetime
import decimal
import functools
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import pytest

import ormdb
from ormdb import Database, limits
from ormdb.errors import (
    BudgetError,
    CursorError,
    LimitError,
    OrmdbError,
    QueryError,
)
from ormdb.ir.expr import (
    Aggregate,
    And,
    Arithmetic,
    ArithmeticOp,
    Call,
    Compare,
    CompareOp,
    Expr,
    FieldRef,
    InList,
    IsNull,
    Literal,
    Not,
    Or,
    Related,
)
from ormdb.ir.graph import FanoutBudget, GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import Insert
from ormdb.ir.schema import (
    EntityDef,
    IndexDef,
    IndexField,
    RelationDef,
    SchemaBundle,
    ThroughDef,
)
from ormdb.ir.table import TableColumn, TableQuery
from ormdb.ir.value import DecimalType, FloatType, IntType, JsonType, RowDict, TextType, Value
from ormdb.model.dynamic import classes_from_bundle
from tests.unit.query.airline import compare, field

T = TypeVar("T")
NODES: Final = 120
FRIENDS: Final = 60  # of each node
MEMORY_MAX: Final = 64 * 2**20
DEEP: Final = 10_000
LONG_TEXT: Final = "ab" * 50_000
KEYS: Final = 10_000

SCHEMA: Final = SchemaBundle(
    entities=(
        EntityDef(
            name="Node",
            fields=(
                field("id", IntType()),
                field("n", IntType(), optional=True),
                field("x", FloatType(), optional=True),
                field("price", DecimalType(precision=12, scale=2), optional=True),
                field("name", TextType(), optional=True),
                field("data", JsonType(), optional=True),
            ),
            identity=("id",),
            indexes=(
                IndexDef(name="by_n", fields=(IndexField(field="n"),)),
                IndexDef(name="by_name", fields=(IndexField(field="name"),)),
                IndexDef(name="by_price", fields=(IndexField(field="price"),)),
                IndexDef(name="by_x", fields=(IndexField(field="x"),)),
            ),
        ),
        EntityDef(
            name="Edge",
            fields=(field("id", IntType()), field("one", IntType()), field("other", IntType())),
            identity=("id",),
        ),
    ),
    relations=tuple(
        RelationDef(
            name=f"to_{name}",
            source="Edge",
            fields=(name,),
            target="Node",
            target_fields=("id",),
            inverse=f"{name}_edges",
        )
        for name in ("one", "other")
    ),
    throughs=(
        ThroughDef(
            name="friends", entity="Node", edge="Edge", near="to_one", far="to_other", target="Node"
        ),
    ),
)


def friends_of(number: int) -> list[int]:
    return [(number + 1 + step) % NODES for step in range(FRIENDS)]


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=SCHEMA) as opened:
        data = {f"key {number}": number for number in range(KEYS)}
        rows: list[RowDict] = [
            {"id": n, "n": n % 7, "x": None, "price": None, "name": f"node {n}", "data": None}
            for n in range(NODES)
        ]
        rows[3] |= {"name": LONG_TEXT, "data": data}
        edges = [
            {"id": n * FRIENDS + step, "one": n, "other": other}
            for n in range(NODES)
            for step, other in enumerate(friends_of(n))
        ]
        opened.run_mutations([Insert(entity="Node", rows=tuple(rows))])
        opened.run_mutations([Insert(entity="Edge", rows=tuple(edges))])
        yield opened


@pytest.fixture(autouse=True)
def goes_on(db: Database) -> Iterator[None]:
    """After each of them, the database answers as before."""
    yield
    assert db.run_count(GraphQuery(entity="Node")) == NODES


def peak_of(call: Callable[[], T]) -> tuple[T, int]:
    """What a call returns, and the most memory it held at once, in bytes."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def ids(db: Database, condition: Expr | None, page: Page | None = None) -> list[int]:
    query = GraphQuery(entity="Node", filter=condition, page=page or Page(), select=("id",))
    return [row["id"] for row in db.run_fetch(query).dicts()]


# --- fanout ------------------------------------------------------------------------------------


def to_the_fourth() -> Include:
    """Friends of friends of friends of friends."""
    include = Include(relation="friends", select=("id",))
    for _ in range(3):
        include = Include(relation="friends", select=("id",), includes=(include,))
    return include


def test_many_to_many_to_the_fourth_costs_its_edges_and_not_its_paths(db: Database) -> None:
    query = GraphQuery(entity="Node", includes=(to_the_fourth(),), select=("id",))
    answer, peak = peak_of(lambda: db.run_fetch(query))
    blocks = answer.blocks
    assert [len(block) for block in blocks.entities] == [NODES] * 5
    assert [len(edge.targets) for edge in blocks.edges] == [NODES * FRIENDS] * 4
    assert peak < MEMORY_MAX
    row = answer.dicts()[5]
    for number in (friends_of(5), friends_of(6), friends_of(7), friends_of(8)):
        assert [each["id"] for each in row["friends"]] == number
        row = row["friends"][0]


@pytest.mark.parametrize(
    "budget",
    [FanoutBudget(edges=20_000), FanoutBudget(rows=300), FanoutBudget(fanout=FRIENDS - 1)],
)
def test_many_to_many_beyond_its_budget_is_refused(db: Database, budget: FanoutBudget) -> None:
    query = GraphQuery(entity="Node", includes=(to_the_fourth(),), budget=budget)
    with pytest.raises(BudgetError):
        db.run_fetch(query)


def test_includes_without_end_are_refused(db: Database) -> None:
    deep = Include(relation="friends")
    for _ in range(DEEP):
        deep = Include(relation="friends", includes=(deep,))
    wide = tuple(Include(relation="friends", alias=f"as_{n}") for n in range(1_000))
    for includes in ((deep,), wide):
        with pytest.raises((LimitError, BudgetError)):
            db.run_fetch(GraphQuery(entity="Node", includes=includes))


# --- lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "n", "name", "x"])
def test_a_list_of_a_hundred_thousand_is_answered(db: Database, name: str) -> None:
    texts = [f"node {number}" for number in range(limits.IN_LIST_ITEMS_MAX)]
    numbers = range(limits.IN_LIST_ITEMS_MAX)
    items = tuple(texts if name == "name" else numbers)
    listed = InList(operand=FieldRef(path=(name,)), items=Literal(value=items))
    expected = {"id": [*range(NODES)], "n": [*range(NODES)]}
    expected["name"] = [number for number in range(NODES) if number != 3]
    assert sorted(ids(db, listed)) == expected.get(name, [])


def test_a_list_of_a_hundred_thousand_takes_bounded_memory(db: Database) -> None:
    items = tuple(range(limits.IN_LIST_ITEMS_MAX))
    listed = InList(operand=FieldRef(path=("n",)), items=Literal(value=items))
    found, peak = peak_of(lambda: ids(db, Not(operand=listed)))
    assert found == []
    assert peak < MEMORY_MAX


def test_a_list_beyond_its_bound_is_refused(db: Database) -> None:
    items = tuple(range(limits.IN_LIST_ITEMS_MAX + 1))
    listed = InList(operand=FieldRef(path=("n",)), items=Literal(value=items))
    for query in (
        GraphQuery(entity="Node", filter=listed),
        GraphQuery(entity="Node", includes=(Include(relation="friends", filter=listed),)),
    ):
        with pytest.raises(LimitError):
            db.run_fetch(query)


# --- nesting -----------------------------------------------------------------------------------

COUNT: Final = TableColumn(name="rows", expression=Aggregate(function="count"))
LEAF: Final = compare("==", "n", 1)
N: Final = FieldRef(path=("n",))


def negated(inner: Expr) -> Expr:
    return Not(operand=inner)


def joined(inner: Expr) -> Expr:
    return And(items=(LEAF, inner))


def parted(inner: Expr) -> Expr:
    return Or(items=(inner, LEAF))


def or_null(inner: Expr) -> Expr:
    return IsNull(operand=inner)


def related(inner: Expr) -> Expr:
    return Related(kind="any", path=("friends",), filter=inner)


def added(inner: Expr) -> Expr:
    return Arithmetic(op="+", left=inner, right=Literal(value=1))


def called(inner: Expr) -> Expr:
    return Call(name="coalesce", arguments=(N, inner))


@pytest.mark.parametrize("wrap", [negated, joined, parted, or_null, related, added, called])
def test_nesting_without_end_is_refused(db: Database, wrap: Callable[[Expr], Expr]) -> None:
    value = wrap in {added, called}
    inner: Expr = N if value else LEAF
    for _ in range(DEEP):
        inner = wrap(inner)
    condition = Compare(op="==", left=inner, right=Literal(value=1)) if value else inner
    deep = GraphQuery(entity="Node", filter=condition)
    below = GraphQuery(entity="Node", includes=(Include(relation="friends", filter=condition),))
    asks: list[Callable[[], object]] = [
        lambda: db.run_fetch(deep),
        lambda: db.run_fetch(below),
        lambda: db.run_count(deep),
        lambda: db.run_exists(deep),
        lambda: db.run_explain(deep),
    ]
    for ask in asks:
        with pytest.raises(LimitError):
            ask()


@pytest.mark.parametrize("wrap", [negated, joined, parted, or_null, related, added, called])
def test_nesting_without_end_is_refused_in_tables_and_prepared_queries(
    db: Database, wrap: Callable[[Expr], Expr]
) -> None:
    inner: Expr = N if wrap in {added, called} else LEAF
    for _ in range(DEEP):
        inner = wrap(inner)
    condition = Compare(op="==", left=inner, right=N) if wrap in {added, called} else inner
    kept = Aggregate(function="count", filter=condition)
    plain = TableColumn(name="n", expression=N)
    tables = [
        TableQuery(entity="Node", columns=(TableColumn(name="v", expression=condition),)),
        TableQuery(entity="Node", columns=(TableColumn(name="v", expression=kept),)),
        TableQuery(entity="Node", columns=(COUNT,), filter=condition),
        TableQuery(entity="Node", columns=(plain, COUNT), having=condition),
        TableQuery(entity="Node", columns=(plain,), order=(OrderSpec(key=condition),)),
    ]
    for table in tables:
        for ask in (db.run_table, db.run_explain):
            with pytest.raises(LimitError):
                ask(table)
    deep = GraphQuery(entity="Node", filter=condition)
    with pytest.raises(LimitError):
        db.run_prepare(deep).run_fetch({})
    with pytest.raises(LimitError):
        list(db.run_stream(deep, batch=3))


def test_an_expression_that_holds_itself_twice_at_every_level_is_refused(db: Database) -> None:
    doubled: Expr = LEAF
    for _ in range(50):
        doubled = And(items=(doubled, doubled))
    query = GraphQuery(entity="Node", filter=doubled)
    table = TableQuery(entity="Node", columns=(TableColumn(name="v", expression=doubled),))
    with pytest.raises(LimitError):
        db.run_table(table)
    for ask in (db.run_fetch, db.run_count, db.run_prepare):
        with pytest.raises(LimitError):
            ask(query)


def test_prepared_includes_without_end_are_refused(db: Database) -> None:
    deep = Include(relation="friends")
    for _ in range(DEEP):
        deep = Include(relation="friends", includes=(deep,))
    with pytest.raises(LimitError):
        db.run_prepare(GraphQuery(entity="Node", includes=(deep,)))


@pytest.mark.parametrize(
    "text",
    ["not " * DEEP + "True", "(" * DEEP + "True" + ")" * DEEP, " and ".join(["n > 1"] * 50_000)],
    ids=["not", "parentheses", "and"],
)
def test_a_text_of_a_filter_that_nests_without_end_is_refused(db: Database, text: str) -> None:
    with pytest.raises((LimitError, QueryError)):
        db.fetch(classes_from_bundle(db.schema)["Node"].where(text))


def test_a_condition_of_very_many_parts_is_refused(db: Database) -> None:
    for wide in (And(items=(LEAF,) * 100_000), Or(items=(LEAF,) * 100_000)):
        with pytest.raises(LimitError):
            db.run_fetch(GraphQuery(entity="Node", filter=wide))


def test_an_order_of_very_many_keys_is_refused(db: Database) -> None:
    order = tuple(OrderSpec(key=N) for _ in range(1_000))
    with pytest.raises(LimitError):
        db.run_fetch(GraphQuery(entity="Node", order=order))


# --- texts and documents -----------------------------------------------------------------------


def asks(name: str, of: str, *given: Value) -> Expr:
    arguments = (FieldRef(path=(of,)), *(Literal(value=each) for each in given))
    return Call(name=name, arguments=arguments)  # type: ignore[arg-type]  # one of the names


@pytest.mark.parametrize("name", ["like", "ilike"])
def test_a_pattern_of_ten_thousand_pieces_is_refused(db: Database, name: str) -> None:
    with pytest.raises(LimitError):
        ids(db, asks(name, "name", "%a%b" * 5_000))


@pytest.mark.parametrize("name", ["like", "ilike"])
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("%a%b" * 249 + "%", [3]),
        ("%a%b" * 249 + "%c", []),
        ("%" * 999, list(range(NODES))),
        ("%_" * 499 + "%", [3]),
        ("_" * 1_000, []),
        ("%ba" * 333 + "%", [3]),
    ],
)
def test_a_pattern_that_would_backtrack_for_ever_is_answered(
    db: Database, name: str, pattern: str, expected: list[int]
) -> None:
    assert ids(db, asks(name, "name", pattern)) == expected


def test_a_text_of_ten_million_characters_can_be_asked_for(db: Database) -> None:
    for name in ("contains", "starts_with", "icontains", "ends_with"):
        assert ids(db, asks(name, "name", "ab" * 500_000)) == []
    assert ids(db, compare("==", "name", "ab" * 5_000_000)) == []
    assert ids(db, compare("==", "name", LONG_TEXT)) == [3]


def test_a_document_of_ten_thousand_keys_can_be_asked_about(db: Database) -> None:
    assert ids(db, asks("has_key", "data", f"key {KEYS - 1}")) == [3]
    part = {f"key {number}": number for number in range(limits.CONTAINED_VALUES_MAX - 1)}
    assert ids(db, asks("contains_json", "data", part)) == [3]
    assert ids(db, asks("contains_json", "data", part | {"key 0": 1})) == []
    at = asks("at", "data", f"key {KEYS - 1}")
    assert ids(db, Compare(op="==", left=at, right=Literal(value=KEYS - 1))) == [3]


def test_a_document_can_be_looked_for_in_related_rows_more_than_once(db: Database) -> None:
    befriended = related(asks("contains_json", "data", {"key 0": 0}))
    twice = And(items=(befriended, Not(operand=IsNull(operand=befriended))))
    expected = [number for number in range(NODES) if 3 in friends_of(number)]
    assert ids(db, befriended) == ids(db, twice) == expected
    column = TableColumn(name="is_one", expression=befriended)
    table = db.run_table(TableQuery(entity="Node", columns=(column,)))
    assert [number for number, held in enumerate(table.values[0]) if held] == expected


def test_a_document_too_large_to_look_for_is_refused(db: Database) -> None:
    wide = {f"key {number}": number for number in range(KEYS)}
    deep: Value = []
    for _ in range(DEEP):
        deep = [deep]
    for part in (wide, deep):
        with pytest.raises(OrmdbError):
            ids(db, asks("contains_json", "data", part))


def test_a_path_of_ten_thousand_steps_ends_nowhere_or_is_refused(db: Database) -> None:
    try:
        assert ids(db, Not(operand=IsNull(operand=asks("at", "data", *["k"] * DEEP)))) == []
    except OrmdbError as error:
        assert error.code  # noqa: PT017  # either is right


# --- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [10**6, 2**31, 2**62, 2**63 - 1])
@pytest.mark.parametrize("order", [(), (OrderSpec(key=N),), (OrderSpec(key=N, descending=True),)])
def test_a_page_behind_the_end_is_empty(
    db: Database, offset: int, order: tuple[OrderSpec, ...]
) -> None:
    for limit in (None, 1, 2**62):
        page = Page(offset=offset, limit=limit)
        query = GraphQuery(entity="Node", order=order, page=page)
        found, peak = peak_of(functools.partial(db.run_fetch, query))
        assert (len(found), found.next_cursor, found.previous_cursor) == (0, None, None)
        assert peak < MEMORY_MAX
    include = Include(relation="friends", order=order, offset=offset, limit=2**62)
    found = db.run_fetch(GraphQuery(entity="Node", includes=(include,)))
    assert all(row["friends"] == [] for row in found.dicts())


@pytest.mark.parametrize("number", [2**63, 2**64, 10**100])
def test_a_page_beyond_every_number_is_empty_or_refused(db: Database, number: int) -> None:
    for page in (Page(offset=number), Page(offset=number, limit=number)):
        try:
            assert ids(db, None, page) == []
        except OrmdbError as error:
            assert error.code  # noqa: PT017  # either is right
    try:
        assert ids(db, None, Page(limit=number)) == list(range(NODES))
    except OrmdbError as error:
        assert error.code  # noqa: PT017  # either is right


@pytest.mark.parametrize("cursor", ["", "x", "A" * 10**6, "\0", "é", "=" * 50, "AAAA" * 4])
def test_a_cursor_from_nowhere_is_refused(db: Database, cursor: str) -> None:
    for page in (Page(after=cursor), Page(before=cursor, limit=3)):
        with pytest.raises(CursorError):
            ids(db, None, page)


# --- values ------------------------------------------------------------------------------------

VALUES: Final[tuple[Value, ...]] = (
    2**63,
    -(2**200),
    10**5000,
    float("nan"),
    float("inf"),
    -0.0,
    decimal.Decimal("1E+999999"),
    decimal.Decimal("1E-999999"),
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    decimal.Decimal("-Infinity"),
    "\ud800",
    "\0",
    "9" * 5_000,
    "1e999999999",
    b"\xff" * 1_000,
    True,
    datetime.datetime(9999, 12, 31),  # noqa: DTZ001  # without a zone
    datetime.datetime(9999, 12, 31, 23, tzinfo=datetime.timezone(datetime.timedelta(hours=-14))),
    datetime.timedelta.max,
    object(),
    [1],
    {"a": 1},
)


K: Final = Call(name="at", arguments=(FieldRef(path=("data",)), Literal(value="key 3")))


def conditions_with(name: str, value: Value) -> Iterator[Expr]:
    """A value wherever one may stand beside a field."""
    ref, literal = FieldRef(path=(name,)), Literal(value=value)
    comparisons: tuple[CompareOp, ...] = ("==", "<", ">=")
    for op in comparisons:
        yield Compare(op=op, left=ref, right=literal)
    yield InList(operand=ref, items=Literal(value=(value, value)))
    calculations: tuple[ArithmeticOp, ...] = ("+", "*", "/", "%")
    for by in calculations:
        yield Compare(op=">", left=Arithmetic(op=by, left=ref, right=literal), right=ref)
    yield Compare(op="==", left=Call(name="coalesce", arguments=(ref, literal)), right=ref)
    yield Compare(op="<", left=K, right=literal)
    for asked in ("like", "starts_with", "icontains", "has_key", "contains_json"):
        yield asks(asked, name, value)


# By number, since not every one of them can be printed.
@pytest.mark.parametrize("number", range(len(VALUES)))
@pytest.mark.parametrize("name", ["id", "n", "x", "price", "name", "data"])
def test_a_value_beyond_reason_finds_nothing_wrong(db: Database, name: str, number: int) -> None:
    for condition in conditions_with(name, VALUES[number]):
        try:
            kept, dropped = ids(db, condition), ids(db, Not(operand=condition))
            unknown = ids(db, IsNull(operand=condition))
        except OrmdbError as error:
            assert str(error)  # noqa: PT017  # either is right
            continue
        assert sorted([*kept, *dropped, *unknown]) == list(range(NODES))


@pytest.mark.parametrize("number", range(len(VALUES)))
def test_a_value_beyond_reason_ends_no_table_untyped(db: Database, number: int) -> None:
    literal = Literal(value=VALUES[number])
    made = Arithmetic(op="*", left=N, right=literal)
    column = TableColumn(name="n", expression=N)
    for expr in (literal, made, Aggregate(function="sum", operand=made)):
        asked = TableColumn(name="asked", expression=expr)
        for table in (
            TableQuery(entity="Node", columns=(asked,)),
            TableQuery(entity="Node", columns=(column, COUNT), order=(OrderSpec(key=expr),)),
            TableQuery(
                entity="Node",
                columns=(column, COUNT),
                having=Compare(op="<", left=FieldRef(path=("rows",)), right=literal),
            ),
        ):
            try:
                db.run_table(table)
            except OrmdbError as error:
                assert str(error)  # noqa: PT017  # either is right


def test_what_is_no_number_is_refused_wherever_it_stands(db: Database) -> None:
    for value in (decimal.Decimal("NaN"), decimal.Decimal("sNaN"), float("nan")):
        total = Arithmetic(op="+", left=N, right=Literal(value=value))
        for condition in (
            Compare(op="<", left=N, right=Literal(value=value)),
            Compare(op="<", left=total, right=Literal(value=1)),
        ):
            with pytest.raises(QueryError, match="nan"):
                ids(db, condition)


@pytest.mark.parametrize("name", ["like", "starts_with", "contains"])
def test_half_of_a_surrogate_pair_is_refused_by_every_way_to_the_rows(
    db: Database, name: str
) -> None:
    # By an index, which makes bytes of what a text begins with, and by a look at each row.
    indexed, plain = asks(name, "name", "\ud800"), asks("contains", "name", "\ud800")
    for condition in (indexed, Not(operand=indexed), plain):
        with pytest.raises(QueryError, match="surrogate"):
            ids(db, condition)
