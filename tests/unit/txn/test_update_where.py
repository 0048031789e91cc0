"""Updates and deletes of what a query means: found once, judged together, written together."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Database, limits
from ormdb.errors import (
    CheckError,
    ForeignKeyError,
    ImmutableError,
    LimitError,
    OrmdbError,
    QueryError,
    RequiredError,
    UniqueError,
    UsageError,
    ValueRangeError,
)
from ormdb.ir.expr import Arithmetic, Expr, FieldRef, Literal
from ormdb.ir.graph import GraphQuery, Include, OrderSpec, Page
from ormdb.ir.mutation import DeleteWhere, Insert, Mutation, MutationOutcome, Update, UpdateWhere
from ormdb.ir.value import RowDict, Value
from ormdb.model.expression_text import parse_expression
from tests.oracle.clocks import StillClock
from tests.oracle.club import CLUB


@pytest.fixture
def db() -> Iterator[Database]:
    """Five towns with lots 1 to 5, and three members who live in them."""
    with ormdb.open(":memory:", schema=CLUB, clock=StillClock()) as opened:
        towns: list[RowDict] = [
            {"code": code, "zone": "n", "lot": lot} for lot, code in enumerate("ABCDE", 1)
        ]
        members: list[RowDict] = [
            {"id": 1, "town_code": "A", "email": "a", "points": 5},
            {"id": 2, "town_code": "B", "points": 7, "mentor_id": 1},
            {"id": 3, "points": 9},
        ]
        opened.run_mutations([Insert(entity="Town", rows=tuple(towns))])
        opened.run_mutations([Insert(entity="Member", rows=tuple(members))])
        yield opened


def rows_of(db: Database, entity: str, *names: str) -> list[tuple[Value, ...]]:
    found = db.run_fetch(GraphQuery(entity=entity)).dicts()
    return [tuple(row[name] for name in names) for row in found]


def update(entity: str, where: str | None = None, /, **assigned: Value) -> UpdateWhere:
    """An update; a value that is an expression is one."""
    query = GraphQuery(entity=entity, filter=None if where is None else parse_expression(where))
    constants = {name: value for name, value in assigned.items() if not _is_expression(value)}
    others = tuple((name, value) for name, value in assigned.items() if _is_expression(value))
    return UpdateWhere(query=query, changes=constants, expressions=others)


def run(db: Database, mutation: Mutation) -> MutationOutcome:
    return db.run_mutations([mutation])[0]


def refused(db: Database, kind: type[OrmdbError], mutation: Mutation) -> OrmdbError:
    """The error of a statement that is refused and changes nothing."""
    version = db.version
    with pytest.raises(kind) as caught:
        run(db, mutation)
    assert db.version == version
    assert type(caught.value) is kind
    return caught.value


def _is_expression(value: Value) -> bool:
    return hasattr(value, "__dataclass_fields__")


plus = parse_expression


def test_an_update_touches_the_rows_of_its_filter_and_no_others(db: Database) -> None:
    outcome = run(db, update("Member", "points > 5", points=1))
    assert outcome.identities == ((2,), (3,))
    assert rows_of(db, "Member", "id", "points", "double") == [(1, 5, 10), (2, 1, 2), (3, 1, 2)]


def test_a_filter_over_other_rows_is_a_filter_of_an_update(db: Database) -> None:
    run(db, update("Member", "town.lot >= 2", rank="full"))
    assert rows_of(db, "Member", "id", "rank") == [(1, None), (2, "full"), (3, None)]
    assert run(db, update("Town", "none(members)", size=3)).identities == (("C",), ("D",), ("E",))


def test_order_and_limit_say_which_rows_an_update_means(db: Database) -> None:
    query = GraphQuery(
        entity="Member",
        order=(OrderSpec(key=FieldRef(path=("points",)), descending=True),),
        page=Page(limit=1, offset=1),
    )
    outcome = run(db, UpdateWhere(query=query, changes={"points": 0}))
    assert outcome.identities == ((2,),)


def test_a_query_that_asks_for_more_than_rows_is_refused(db: Database) -> None:
    query = GraphQuery(entity="Town", includes=(Include(relation="members"),), as_of=3)
    error = refused(db, QueryError, UpdateWhere(query=query, changes={"size": 1}))
    assert "no use for includes, as_of" in str(error)
    refused(db, QueryError, DeleteWhere(query=query))


def test_an_expression_sees_the_row_as_it_was(db: Database) -> None:
    run(db, update("Member", None, points=plus("points + 1"), bonus=plus("points * 10")))
    assert rows_of(db, "Member", "points", "bonus", "double") == [
        (6, 50, 12),
        (8, 70, 16),
        (10, 90, 20),
    ]


def test_rows_that_an_update_makes_match_again_are_changed_once(db: Database) -> None:
    run(db, update("Member", "points >= 5", points=plus("points + 2")))
    assert rows_of(db, "Member", "points") == [(7,), (9,), (11,)]


def test_a_missing_value_stays_missing_in_arithmetic_and_is_replaced_by_coalesce(
    db: Database,
) -> None:
    run(db, update("Town", "code == 'A'", size=plus("size + 1")))
    run(db, update("Town", "code == 'B'", size=plus("coalesce(size, 0) + 1")))
    assert rows_of(db, "Town", "size")[:2] == [(None,), (1,)]


def test_now_is_one_moment_for_all_rows_and_for_the_filter(db: Database) -> None:
    run(db, update("Member", "year(now()) > 2001", bonus=plus("year(now())")))
    moment = datetime.datetime.fromtimestamp(StillClock().wall_us() / 1e6, tz=datetime.UTC)
    assert rows_of(db, "Member", "bonus") == [(moment.year,)] * 3


def test_uniques_are_judged_when_the_statement_is_done(db: Database) -> None:
    db.run_mutations([update("Town", None, lot=plus("lot + 1"))])
    assert rows_of(db, "Town", "lot") == [(2,), (3,), (4,), (5,), (6,)]
    run(db, update("Town", None, lot=plus("7 - lot")))
    error = refused(db, UniqueError, update("Town", "lot < 4", lot=9))
    assert error.fields == ("zone", "lot")
    refused(db, UniqueError, update("Town", "code == 'A'", lot=plus("lot - 1")))
    run(db, update("Town", "code != 'E'", lot=None))
    assert db.check(deep=True).problems == ()


def test_uniques_hold_across_batches_of_one_statement(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_BATCH_ROWS", 2)
    run(db, update("Town", None, lot=plus("lot + 1")))
    assert rows_of(db, "Town", "lot") == [(2,), (3,), (4,), (5,), (6,)]
    refused(db, UniqueError, update("Town", "lot > 2", lot=2))
    refused(db, UniqueError, update("Town", "lot > 4", lot=9))
    assert db.check(deep=True).problems == ()


def test_a_partial_unique_is_judged_among_the_rows_that_it_holds_afterwards(db: Database) -> None:
    run(db, update("Member", "id <= 2", town_code="A"))
    run(db, update("Member", "id == 1", rank="board"))
    refused(db, UniqueError, update("Member", "id == 2", rank="board"))
    swap = update("Member", "id <= 2", zone=None, town_code="B")
    run(db, swap)
    refused(db, UniqueError, update("Member", "id <= 2", rank="board"))
    assert db.check(deep=True).problems == ()


def test_foreign_keys_of_an_update_lead_somewhere_when_it_is_done(db: Database) -> None:
    run(db, update("Member", None, town_code="C"))
    assert [
        found["id"]
        for found in db.run_fetch(
            GraphQuery(entity="Member", filter=parse_expression("town.lot == 3"))
        ).dicts()
    ] == [1, 2, 3]
    refused(db, ForeignKeyError, update("Member", "id == 3", town_code="nowhere"))
    run(db, update("Member", "id == 3", zone="n", lot=4))
    error = refused(db, ForeignKeyError, update("Town", None, lot=plus("lot + 1")))
    assert error.constraint == "plot"


def test_rows_that_refer_to_each_other_move_together(db: Database) -> None:
    nodes: list[RowDict] = [
        {"path": "r", "part": 1},
        {"path": "r", "part": 2, "up_path": "r", "up_part": 1},
    ]
    run(db, Insert(entity="Node", rows=tuple(nodes)))
    run(db, update("Node", None, up_path="r", up_part=plus("3 - part")))
    found = db.run_fetch(GraphQuery(entity="Node", includes=(Include(relation="parent"),))).dicts()
    assert [row["parent"]["part"] for row in found] == [2, 1]


def test_what_an_expression_gives_has_to_fit_its_field(db: Database) -> None:
    refused(db, ValueRangeError, update("Member", None, bonus=plus(f"points * {limits.INT_MAX}")))
    refused(db, RequiredError, update("Member", "id == 1", points=plus("lot + 1")))
    refused(db, CheckError, update("Member", "id == 3", points=plus("points * 1000")))
    error = refused(db, QueryError, update("Member", None, points=plus("points / 2")))
    assert str(error).startswith("Member.points cannot be set to that: ")
    refused(db, QueryError, update("Member", None, points=plus("town.lot")))
    refused(db, ImmutableError, update("Member", None, double=plus("points")))
    refused(db, ImmutableError, update("Member", None, id=plus("id + 1")))
    refused(db, QueryError, update("Member", None, nothing=plus("id + 1")))
    twice = UpdateWhere(
        query=GraphQuery(entity="Member"),
        changes={"points": 1},
        expressions=(("points", plus("points + 1")),),
    )
    refused(db, UsageError, twice)


def test_expressions_that_are_equal_but_of_other_numbers_are_told_apart(db: Database) -> None:
    def plus_one(one: Value) -> UpdateWhere:
        added = Arithmetic(op="+", left=FieldRef(path=("points",)), right=Literal(value=one))
        return update("Member", None, points=added)

    run(db, plus_one(1))
    refused(db, QueryError, plus_one(1.0))
    refused(db, QueryError, plus_one(True))
    run(db, plus_one(1))


def test_an_expression_without_end_is_refused(db: Database) -> None:
    deep: Expr = FieldRef(path=("points",))
    for _ in range(5_000):
        deep = Arithmetic(op="+", left=deep, right=Literal(value=1))
    refused(db, LimitError, update("Member", None, points=deep))


def test_an_update_by_identity_takes_expressions_too(db: Database) -> None:
    one = Update(
        entity="Member", identity=(1,), changes={}, expressions=(("points", plus("points + 1")),)
    )
    db.run_mutations([one, one])
    assert rows_of(db, "Member", "points")[0] == (7,)


def test_a_delete_removes_the_rows_of_its_filter_or_none(db: Database) -> None:
    refused(db, ForeignKeyError, DeleteWhere(query=GraphQuery(entity="Town")))
    free = GraphQuery(entity="Town", filter=parse_expression("none(members)"))
    assert run(db, DeleteWhere(query=free)).identities == (("C",), ("D",), ("E",))
    assert run(db, DeleteWhere(query=free)).identities == ()
    assert rows_of(db, "Town", "code") == [("A",), ("B",)]


def test_a_statement_sees_what_its_transaction_wrote_before(db: Database) -> None:
    with db.transaction() as txn:
        txn.run_mutations([Insert(entity="Member", rows=({"id": 9, "points": 500},))])
        found = txn.run_mutations([update("Member", "points > 100", points=plus("points - 1"))])
        assert found[0].identities == ((9,),)
        gone = DeleteWhere(query=GraphQuery(entity="Member", filter=plus("points == 499")))
        assert txn.run_mutations([gone])[0].identities == ((9,),)
    assert len(rows_of(db, "Member", "id")) == 3


def test_an_update_of_no_row_makes_no_commit(db: Database) -> None:
    version = db.version
    assert run(db, update("Member", "points > 100", points=1)).identities == ()
    assert db.version == version
