"""Updates and deletes that ask before: for a condition, or for a version of the row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ormdb
from ormdb import Database, Entity, Field, Many, One, field, many
from ormdb.errors import ConflictError, NotFoundError
from ormdb.ir.expr import Compare, FieldRef, Literal
from ormdb.ir.mutation import Delete


class Gate(Entity):
    name: Field[str] = field(identity=True)
    free: Field[int] = field(default=2)
    planes: Many[Parked] = many(inverse="gate")


class Parked(Entity):
    id: Field[int] = field(identity=True)
    gate: One[Gate]
    hours: Field[int] = field(default=0)


@pytest.fixture
def db() -> Iterator[Database]:
    with ormdb.open(":memory:", schema=[Gate, Parked]) as opened:
        opened.insert_many([Gate(name="A"), Gate(name="B", free=0)])
        opened.insert_many([Parked(id=1, gate=Gate.key("A"))])
        yield opened


def test_an_update_is_done_only_where_its_condition_is_true(db: Database) -> None:
    key = Gate.key("A")
    done = [db.update(key, Gate.free.add(-1), where=Gate.free > 0) for _ in range(3)]
    assert done == [True, True, False]
    gate = db.get(key)
    assert gate is not None
    assert gate.free == 0


def test_an_update_that_is_not_done_makes_no_commit(db: Database) -> None:
    version = db.version
    assert not db.update(Gate.key("B"), Gate.free.to(9), where=Gate.free > 0)
    assert db.version == version


def test_a_condition_may_ask_about_other_rows(db: Database) -> None:
    assert not db.update(Gate.key("B"), Gate.free.to(1), where=Gate.planes.any())
    assert db.update(Gate.key("A"), Gate.free.to(1), where=Gate.planes.any(Parked.hours == 0))
    assert db.update(Parked.key(1), Parked.hours.to(5), where=Parked.gate[Gate.free] == 1)


def test_a_row_that_is_missing_is_an_error_whatever_the_condition(db: Database) -> None:
    with pytest.raises(NotFoundError):
        db.update(Gate.key("C"), Gate.free.to(1), where=Gate.free > 0)


def test_an_update_of_a_version_is_refused_once_the_row_has_changed(db: Database) -> None:
    key = Gate.key("A")
    seen = db.row_version(key)
    assert seen is not None
    db.update(Gate.key("B"), Gate.free.to(1))
    assert db.update(key, Gate.free.to(1), if_version=seen)
    with pytest.raises(ConflictError) as caught:
        db.update(key, Gate.free.to(2), if_version=seen)
    assert caught.value.details == {
        "entity": "Gate",
        "identity": ("A",),
        "read_at": seen,
        "version": db.version,
    }
    with pytest.raises(ConflictError):
        db.delete(key, if_version=seen)
    assert db.row_version(key) == db.version
    assert db.row_version(Gate.key("C")) is None


def test_a_snapshot_knows_the_version_that_a_row_had(db: Database) -> None:
    with db.snapshot() as snapshot:
        seen = snapshot.row_version(Gate.key("A"))
        db.update(Gate.key("A"), Gate.free.to(1))
        assert snapshot.row_version(Gate.key("A")) == seen
    with db.snapshot(as_of=seen) as past:
        assert past.row_version(Gate.key("A")) == seen
    assert db.row_version(Gate.key("A")) != seen


def test_what_a_transaction_wrote_itself_is_no_conflict(db: Database) -> None:
    key = Gate.key("B")
    seen = db.row_version(key)
    with db.transaction() as txn:
        txn.update(key, Gate.free.to(5))
        assert txn.update(key, Gate.free.add(1), if_version=seen)
        txn.delete(key, if_version=seen)
    assert db.get(key) is None


def test_a_delete_by_identity_may_have_a_condition(db: Database) -> None:
    none_left = Compare(op="==", left=FieldRef(path=("free",)), right=Literal(value=0))
    both = Delete(entity="Gate", identities=(("A",), ("B",)), where=none_left)
    assert db.run_mutations([both])[0].identities == (("B",),)
    assert db.count(Gate) == 1
