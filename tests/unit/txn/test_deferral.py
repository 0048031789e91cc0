"""What may be wrong within a transaction is right when it ends, or the commit is refused."""

from __future__ import annotations

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize
from ormdb.catalog.text import bundle_from_text
from ormdb.errors import ConstraintError, ForeignKeyError, UniqueError
from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.value import RowDict, Value
from ormdb.txn.commit import OpenCommit
from tests.oracle.store import Store

COUPLES = """ormdb schema 1
entity Hen
  identity name
  name: text
  egg_id: int
  seat: int?
  unique deferred index seats on seat
entity Egg
  identity id
  id: int
  hen_name: text
entity Coop
  identity id
  id: int
entity Nest
  identity id
  id: int
  coop_id: int?
  hen_name: text?
relation Hen.egg (egg_id) -> Egg (id)
  deferred
relation Egg.hen (hen_name) -> Hen (name)
  deferred
relation Nest.coop (coop_id) -> Coop (id)
  on delete no action
relation Nest.hen (hen_name) -> Hen (name)
  on delete no action
"""


@pytest.fixture
def farm() -> Store:
    store = Store(assign_numbers(normalize(bundle_from_text(COUPLES)), None))
    store.commit(insert("Hen", name="a", egg_id=1), insert("Egg", id=1, hen_name="a"))
    store.insert("Coop", {"id": 1})
    return store


def insert(entity: str, **row: Value) -> Insert:
    return Insert(entity=entity, rows=(row,))


def update(entity: str, identity: Value, **changes: Value) -> Update:
    return Update(entity=entity, identity=(identity,), changes=changes)


def delete(entity: str, identity: Value) -> Delete:
    return Delete(entity=entity, identities=((identity,),))


def refuse(store: Store, *mutations: Mutation) -> ConstraintError:
    """The error of a commit, of which no statement was refused by itself."""
    commit = store.committer.open(principal="t")
    version = store.head.version
    try:
        for mutation in mutations:
            commit.apply_together([mutation])
        with pytest.raises((ForeignKeyError, UniqueError)) as caught:
            commit.publish()
    finally:
        commit.abort()
    assert store.head.version == version
    assert store.check().problems == ()
    return caught.value


def hidden(store: Store, commit: OpenCommit, entity: str, relation: str) -> list[int | None]:
    """The hidden number of each row's target, as the commit has it."""
    layout = store.entity(entity)
    slot = store.layout.relations[entity, relation].relation.slot
    view = commit.view()
    items = [item for batch in view.txn.scan(layout.rows) for item in batch]
    rows = layout.codec.whole.decode_batch([k for k, _ in items], [row for _, row in items])
    return [getattr(row, f"s{slot}") for row in rows]


def test_two_rows_that_need_each_other_are_inserted_one_after_the_other(farm: Store) -> None:
    farm.commit(insert("Hen", name="b", egg_id=2), insert("Egg", id=2, hen_name="b"))
    farm.commit(insert("Egg", id=3, hen_name="c"), insert("Hen", name="c", egg_id=3))
    assert farm.check().problems == ()


def test_a_reference_that_is_still_wrong_at_the_end_refuses_the_commit(farm: Store) -> None:
    error = refuse(farm, insert("Hen", name="b", egg_id=2))
    assert error.details == {
        "kind": "foreign_key",
        "entity": "Hen",
        "fields": ("egg_id",),
        "constraint": "egg",
        "identity": ("b",),
    }
    error = refuse(farm, insert("Egg", id=2, hen_name="b"))
    assert (error.details["entity"], error.details["identity"]) == ("Egg", (2,))


def test_a_row_with_a_wrong_reference_may_be_mended_or_deleted_before_the_end(
    farm: Store,
) -> None:
    farm.commit(insert("Egg", id=2, hen_name="b"), update("Egg", 2, hen_name="a"))
    farm.commit(insert("Egg", id=3, hen_name="b"), delete("Egg", 3))
    farm.commit(update("Hen", "a", egg_id=9), insert("Egg", id=9, hen_name="a"))
    assert farm.check().problems == ()
    refuse(farm, update("Hen", "a", egg_id=10))


def test_a_reference_leads_somewhere_as_soon_as_its_target_is_there(farm: Store) -> None:
    commit = farm.committer.open(principal="t")
    commit.apply_together([insert("Egg", id=2, hen_name="b")])
    assert hidden(farm, commit, "Egg", "hen") == [1, None]
    commit.apply_together([insert("Hen", name="b", egg_id=2)])
    assert hidden(farm, commit, "Egg", "hen") == [1, 2]
    commit.publish()
    assert farm.check().problems == ()


def test_a_deferred_relation_still_restricts_deletes(farm: Store) -> None:
    with pytest.raises(ForeignKeyError, match="still referred to by 1 Egg through hen"):
        farm.delete("Hen", ("a",))


@pytest.mark.parametrize(("entity", "key", "row"), [("Coop", 1, {"id": 1}), ("Hen", "b", None)])
def test_no_action_lets_a_row_go_that_comes_back(
    farm: Store, entity: str, key: Value, row: RowDict | None
) -> None:
    farm.commit(insert("Hen", name="b", egg_id=1))
    row = {"name": "b", "egg_id": 1} if row is None else row
    name = "coop_id" if entity == "Coop" else "hen_name"
    farm.commit(insert("Nest", id=1, **{name: key}), insert("Nest", id=2))
    error = refuse(farm, delete(entity, key))
    assert error.details["entity"] == "Nest"
    assert error.details["identity"] == (1,)
    farm.commit(delete(entity, key), Insert(entity=entity, rows=(row,)))
    assert farm.check().problems == ()
    farm.commit(delete(entity, key), update("Nest", 1, **{name: None}))
    farm.commit(insert(entity, **row), update("Nest", 1, **{name: key}))
    farm.commit(delete(entity, key), delete("Nest", 1))
    assert farm.check().problems == ()


def test_no_action_still_refuses_to_insert_what_leads_nowhere(farm: Store) -> None:
    with pytest.raises(ForeignKeyError):
        farm.insert("Nest", {"id": 1, "coop_id": 7})


def test_a_statement_that_is_refused_leaves_nothing_to_wait_for(farm: Store) -> None:
    farm.insert("Nest", {"id": 1, "coop_id": 1})
    commit = farm.committer.open(principal="t")
    with pytest.raises(ForeignKeyError):
        commit.apply_together(
            [Insert(entity="Nest", rows=({"id": 2, "coop_id": 1}, {"id": 3, "coop_id": 7}))]
        )
    commit.apply_together([insert("Coop", id=2)])
    commit.publish()


def test_values_of_a_deferred_unique_are_swapped(farm: Store) -> None:
    farm.insert("Hen", *({"name": n, "egg_id": 1, "seat": s} for n, s in (("b", 1), ("c", 2))))
    farm.commit(update("Hen", "b", seat=2), update("Hen", "c", seat=1))
    assert farm.check().problems == ()
    error = refuse(farm, update("Hen", "b", seat=1))
    assert error.details["kind"] == "unique"
    assert error.details["entity"] == "Hen"
    assert error.details["constraint"] == "seats"
    assert error.details["fields"] == ("seat",)
    both = Insert(entity="Hen", rows=tuple({"name": n, "egg_id": 1, "seat": 5} for n in "xy"))
    refuse(farm, both)
    farm.commit(both, delete("Hen", "x"))
    assert farm.check().problems == ()
