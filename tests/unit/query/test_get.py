"""Getting a row by identity gives what a fetch filtered by the identity gives, or its damage."""

from __future__ import annotations

import pytest

import ormdb
from ormdb import Entity, Field, field
from ormdb.errors import CorruptionError, QueryError
from ormdb.ir.expr import Compare, FieldRef, Literal
from ormdb.ir.graph import GraphQuery
from ormdb.ir.value import Value
from ormdb.storage.keys import row_key


class Item(Entity):
    id: Field[int] = field(identity=True)
    name: Field[str]
    loud: Field[str] = field(computed="upper(name)")


class Word(Entity):
    text: Field[str] = field(identity=True)
    rank: Field[int | None]


@pytest.fixture
def db() -> ormdb.Database:
    opened = ormdb.open(":memory:", schema=[Item, Word])
    opened.insert_many([Item(id=n, name=f"n{n}") for n in (-5, 0, 2**62)])
    opened.insert_many([Word(text="", rank=None), Word(text="é\0𝄞", rank=1)])
    return opened


@pytest.mark.parametrize(
    ("entity", "name", "identity"),
    [
        ("Item", "id", -5),
        ("Item", "id", 0),
        ("Item", "id", 2**62),
        ("Item", "id", 7),
        ("Word", "text", ""),
        ("Word", "text", "é\0𝄞"),
        ("Word", "text", "absent"),
    ],
)
def test_a_get_gives_the_row_that_a_fetch_gives(
    db: ormdb.Database, entity: str, name: str, identity: Value
) -> None:
    condition = Compare(op="==", left=FieldRef(path=(name,)), right=Literal(value=identity))
    fetched = db.run_fetch(GraphQuery(entity=entity, filter=condition)).dicts()
    assert db.run_get(entity, (identity,)) == (fetched[0] if fetched else None)


def test_null_is_nobodys_identity(db: ormdb.Database) -> None:
    assert db.run_get("Item", (None,)) is None


@pytest.mark.parametrize("identity", [("x",), (2**64,), (1, 2)])
def test_an_identity_that_cannot_be_one_is_refused(
    db: ormdb.Database, identity: tuple[Value, ...]
) -> None:
    with pytest.raises(QueryError):
        db.run_get("Item", identity)


@pytest.mark.parametrize("place", [1, 99])
def test_an_identity_entry_that_leads_astray_gives_no_row(db: ormdb.Database, place: int) -> None:
    with db.snapshot() as snapshot:
        identity = snapshot.layout.entities["Word"].identity
    assert identity is not None
    txn = db.engine.begin_write()
    txn.put_many(identity.space, [(identity.encode_values(["astray"]), row_key(place))])
    txn.commit()
    with pytest.raises(CorruptionError, match=r"other values|not there"):
        db.run_get("Word", ("astray",))


def test_an_identity_entry_too_many_hides_no_row(db: ormdb.Database) -> None:
    with db.snapshot() as snapshot:
        identity = snapshot.layout.entities["Word"].identity
    assert identity is not None
    whole = db.run_get("Word", ("é\0𝄞",))
    txn = db.engine.begin_write()
    txn.put_many(identity.space, [(identity.encode_values(["é\0𝄞"]), row_key(99))])
    txn.commit()
    assert whole is not None
    assert db.run_get("Word", ("é\0𝄞",)) == whole
