"""Constraints are probed before anything is written; an error says what, where and which row."""

from __future__ import annotations

import uuid

import pytest

from ormdb.errors import (
    CheckError,
    ConstraintError,
    CorruptionError,
    ForeignKeyError,
    NotFoundError,
    OrmdbError,
    UniqueError,
)
from ormdb.ir.mutation import Delete, Insert, Mutation, Update
from ormdb.ir.value import RowDict, Value
from ormdb.storage.engine import Item, Space
from ormdb.storage.keys import row_key
from ormdb.storage.layout import CHANGES, META
from ormdb.txn.commit import OpenCommit
from tests.oracle.store import Store

LONG = "é" * 300  # its key is cut


@pytest.fixture
def towns(store: Store) -> Store:
    """Three towns, one without a lot, and two members of the first."""
    store.insert(
        "Town",
        {"code": "A", "zone": "n", "lot": 1},
        {"code": "B", "zone": "n", "lot": 2},
        {"code": "C", "zone": "n"},
    )
    store.insert("Member", {"id": 1, "town_code": "A", "email": "a"}, {"id": 2, "mentor_id": 1})
    return store


def everything(store: Store) -> dict[Space, list[Item]]:
    """All that is in the store."""
    spaces = [META, CHANGES]
    for entity in store.layout.entities.values():
        spaces += [entity.rows, entity.history]
        for index in entity.maintained():
            spaces += [index.space, index.history]
    return {space: store.items(space) for space in spaces}


def refused(store: Store, kind: type[OrmdbError], *mutations: Mutation) -> OrmdbError:
    """The error of a commit that is refused, and leaves the store as it was."""
    before = everything(store)
    with pytest.raises(kind) as caught:
        store.commit(*mutations)
    assert everything(store) == before
    assert type(caught.value) is kind
    return caught.value


def insert(entity: str, *rows: RowDict) -> Insert:
    return Insert(entity=entity, rows=rows)


def update(entity: str, *identity: Value, **changes: Value) -> Update:
    return Update(entity=entity, identity=identity, changes=changes)


def delete(entity: str, *identities: tuple[Value, ...]) -> Delete:
    return Delete(entity=entity, identities=identities)


def facts(error: OrmdbError) -> tuple[object, ...]:
    assert isinstance(error, ConstraintError)
    return error.kind, error.entity, error.fields, error.constraint, error.identity


def open_commit(store: Store) -> OpenCommit:
    return store.committer.open(principal="tester")


# --- identities and uniques ---------------------------------------------------------------------


def test_a_taken_int_identity_names_the_row_and_the_identity(towns: Store) -> None:
    error = refused(towns, UniqueError, insert("Member", {"id": 9}, {"id": 2}))
    assert facts(error) == ("unique", "Member", ("id",), "identity", (2,))


def test_an_identity_twice_in_one_statement_is_refused(towns: Store) -> None:
    error = refused(towns, UniqueError, insert("Member", {"id": 9}, {"id": 9}))
    assert facts(error) == ("unique", "Member", ("id",), "identity", (9,))


def test_a_taken_composite_identity_names_all_its_fields(store: Store) -> None:
    store.insert("Node", {"path": LONG, "part": 1})
    store.insert("Node", {"path": LONG, "part": 2})
    error = refused(store, UniqueError, insert("Node", {"path": LONG, "part": 2}))
    assert facts(error) == ("unique", "Node", ("path", "part"), "identity", (LONG, 2))


def test_a_repeated_unique_value_names_index_fields_and_the_new_row(towns: Store) -> None:
    error = refused(towns, UniqueError, insert("Member", {"id": 5, "email": "a"}))
    assert facts(error) == ("unique", "Member", ("email",), "emails", (5,))
    error = refused(towns, UniqueError, update("Member", 2, email="a"))
    assert facts(error) == ("unique", "Member", ("email",), "emails", (2,))


def test_unique_values_twice_in_one_statement_are_refused(towns: Store) -> None:
    refused(towns, UniqueError, insert("Member", {"email": LONG}, {"email": LONG}))


def test_null_in_a_unique_index_is_unlike_every_null(towns: Store) -> None:
    towns.insert("Town", {"code": "D", "zone": "n"}, {"code": "E", "zone": "n"})
    towns.insert("Member", {"email": None}, {"email": None})
    towns.update("Town", "B", lot=None)


def test_values_of_a_composite_unique_index_repeat_one_by_one(towns: Store) -> None:
    towns.insert("Town", {"code": "D", "zone": "s", "lot": 1}, {"code": "E", "zone": "n", "lot": 3})
    error = refused(towns, UniqueError, insert("Town", {"code": "F", "zone": "s", "lot": 1}))
    assert facts(error)[2:4] == (("zone", "lot"), "plots")


def test_a_row_may_be_updated_to_its_own_unique_values(towns: Store) -> None:
    towns.update("Member", 1, email="a", points=3)
    towns.update("Town", "B", zone="n", lot=2)


def test_a_unique_value_is_free_again_after_its_row_is_gone(towns: Store) -> None:
    towns.commit(delete("Member", (2,)), update("Member", 1, email="b"))
    towns.insert("Member", {"email": "a"})


def test_two_rows_cannot_swap_a_unique_value_one_by_one(towns: Store) -> None:
    towns.insert("Member", {"id": 3, "email": "b"})
    refused(towns, UniqueError, update("Member", 1, email="b"), update("Member", 3, email="a"))


# --- checks -------------------------------------------------------------------------------------


def test_a_false_check_names_the_check_and_the_first_row(towns: Store) -> None:
    error = refused(towns, CheckError, insert("Member", {"id": 7}, {"id": 8, "points": 1_000}))
    assert facts(error) == ("check", "Member", ("points",), "few_points", (8,))
    refused(towns, CheckError, update("Member", 1, points=5_000))


# --- foreign keys -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "row", "fields", "relation"),
    [
        ("Member", {"id": 9, "mentor_id": 77}, ("mentor_id",), "mentor"),
        ("Member", {"id": 9, "town_code": "X"}, ("town_code",), "town"),
        ("Member", {"id": 9, "zone": "n", "lot": 9}, ("zone", "lot"), "plot"),
        ("Note", {"id": uuid.UUID(int=1), "member_id": 77}, ("member_id",), "by"),
        ("Node", {"path": "a", "part": 1, "up_path": "a", "up_part": 2}, None, "parent"),
    ],
)
def test_a_foreign_key_without_its_target_is_refused(
    towns: Store, entity: str, row: RowDict, fields: tuple[str, ...] | None, relation: str
) -> None:
    error = refused(towns, ForeignKeyError, insert(entity, row))
    kind, where, names, constraint, identity = facts(error)
    assert (kind, where, constraint) == ("foreign_key", entity, relation)
    assert names == (fields or ("up_path", "up_part"))
    assert identity == tuple(row[name] for name in towns.entity(entity).entity.identity)


def test_a_foreign_key_with_a_null_refers_to_nothing(towns: Store) -> None:
    towns.insert("Member", {"zone": "nowhere", "lot": None}, {"zone": None, "lot": 99})
    towns.update("Member", 1, zone="nowhere")


def test_a_value_that_only_a_null_key_has_is_no_target(towns: Store) -> None:
    refused(towns, ForeignKeyError, insert("Member", {"zone": "n", "lot": 3}))


def test_an_unenforced_relation_keeps_dangling_values(towns: Store) -> None:
    towns.insert("Member", {"idol_name": "nobody"})
    towns.update("Member", 1, idol_name="nobody")


def test_rows_of_one_statement_may_refer_to_each_other_and_themselves(store: Store) -> None:
    store.insert("Member", {"id": 1, "mentor_id": 2}, {"id": 2, "mentor_id": 1})
    store.insert("Node", {"path": "a", "part": 1, "up_path": "a", "up_part": 1})
    assert store.check().is_clean


def test_rows_of_a_refused_statement_are_no_targets(store: Store) -> None:
    commit = open_commit(store)
    for rows in (
        ({"id": 1, "mentor_id": 2}, {"id": 2, "mentor_id": 99}),
        ({"id": 1, "mentor_id": 2}, {"id": 2, "points": 2_000, "mentor_id": 1}),
    ):
        with pytest.raises(ConstraintError):
            commit.apply_together([insert("Member", *rows)])
        with pytest.raises(ForeignKeyError):
            commit.apply_together([insert("Member", {"id": 3, "mentor_id": 1})])
    nodes = ({"path": "a", "part": 1}, {"path": "a", "part": 2, "up_path": "a", "up_part": 1})
    with pytest.raises(ForeignKeyError):
        commit.apply_together(
            [insert("Node", *nodes, {"path": "b", "part": 1, "up_path": "x", "up_part": 1})]
        )
    with pytest.raises(ForeignKeyError):
        commit.apply_together(
            [insert("Node", {"path": "c", "part": 1, "up_path": "a", "up_part": 1})]
        )
    commit.abort()


def test_a_target_inserted_earlier_in_the_commit_is_found(store: Store) -> None:
    store.commit(
        insert("Town", {"code": "A", "zone": "n", "lot": 1}),
        insert("Member", {"id": 1, "town_code": "A", "zone": "n", "lot": 1}),
        insert("Member", {"id": 2, "mentor_id": 1}),
    )
    assert store.check().is_clean


def test_a_target_deleted_earlier_in_the_commit_is_not_found(towns: Store) -> None:
    commit = open_commit(towns)
    commit.apply_together(
        [insert("Member", {"id": 5, "town_code": "B"})]
    )  # the target is known from here on
    commit.apply_together([delete("Member", (5,))])
    commit.apply_together([delete("Town", ("B",))])
    with pytest.raises(ForeignKeyError):
        commit.apply_together([insert("Member", {"id": 6, "town_code": "B"})])
    commit.abort()


def test_a_row_that_others_refer_to_stays_and_the_error_counts_them(towns: Store) -> None:
    error = refused(towns, ForeignKeyError, delete("Town", ("A",)))
    assert facts(error) == ("foreign_key", "Town", ("code",), "town", ("A",))
    assert "1 Member" in error.message
    refused(towns, ForeignKeyError, delete("Member", (1,)))


def test_rows_that_refer_to_each_other_are_deleted_together(towns: Store) -> None:
    towns.delete("Member", (1,), (2,))
    towns.delete("Town", ("A",))
    assert towns.items(towns.entity("Member").rows) == []


def test_a_deleted_row_may_refer_to_itself(store: Store) -> None:
    store.insert("Member", {"id": 1, "mentor_id": 1})
    store.delete("Member", (1,))


def test_values_that_others_refer_to_do_not_change(towns: Store) -> None:
    towns.insert("Member", {"id": 5, "zone": "n", "lot": 1})
    error = refused(towns, ForeignKeyError, update("Town", "A", lot=7))
    assert facts(error) == ("foreign_key", "Town", ("zone", "lot"), "plot", ("A",))


def test_values_nobody_refers_to_change_though_the_row_is_referred_to(towns: Store) -> None:
    towns.update("Town", "A", lot=7)  # a member refers to the town, by its code
    towns.insert("Member", {"zone": "n", "lot": 7})
    refused(towns, ForeignKeyError, insert("Member", {"zone": "n", "lot": 1}))
    assert towns.check().is_clean


def test_a_target_whose_values_changed_in_the_commit_is_found_by_the_new_ones(
    towns: Store,
) -> None:
    commit = open_commit(towns)
    commit.apply_together([insert("Member", {"id": 5, "zone": "n", "lot": 2})])
    commit.apply_together([delete("Member", (5,))])
    commit.apply_together([update("Town", "B", lot=8)])
    with pytest.raises(ForeignKeyError):
        commit.apply_together([insert("Member", {"id": 5, "zone": "n", "lot": 2})])
    commit.apply_together([insert("Member", {"id": 5, "zone": "n", "lot": 8})])
    commit.publish()
    assert towns.check().is_clean


def test_a_missing_row_is_neither_updated_nor_deleted(towns: Store) -> None:
    error = refused(towns, NotFoundError, update("Member", 77, points=1))
    assert (error.entity, error.identity) == ("Member", (77,))
    refused(towns, NotFoundError, delete("Town", ("B",), ("X",)))


# --- statements ---------------------------------------------------------------------------------


def test_a_refused_statement_leaves_the_commit_to_go_on(towns: Store) -> None:
    commit = open_commit(towns)
    commit.apply_together([insert("Member", {"email": "first"})])
    with pytest.raises(UniqueError):
        commit.apply_together([insert("Member", {"email": "second"}, {"email": "a"})])
    with pytest.raises(ForeignKeyError):
        commit.apply_together([delete("Town", ("B",), ("A",))])
    commit.apply_together([insert("Member", {"email": "second"})])
    commit.publish()
    emails = next(i for i in towns.entity("Member").indexes if i.name == "emails")
    assert len(towns.items(emails.space)) == 4
    assert towns.check().is_clean


def test_a_refused_statement_gives_its_numbers_back(towns: Store) -> None:
    commit = open_commit(towns)
    with pytest.raises(UniqueError):
        commit.apply_together([insert("Member", {"id": 1_000}, {"id": 1})])
    (outcome,) = commit.apply_together([insert("Member", {})])
    assert outcome.identities == ((3,),)
    commit.abort()


def test_a_commit_of_statements_that_cancel_out_leaves_no_version(towns: Store) -> None:
    before = towns.head
    assert towns.commit(insert("Member", {"id": 9}), delete("Member", (9,))) == before.version
    assert towns.head == before


@pytest.mark.parametrize("place", [2, 99])
def test_a_target_entry_that_leads_astray_is_not_referred_to(towns: Store, place: int) -> None:
    identity = towns.layout.entities["Town"].identity
    assert identity is not None
    txn = towns.engine.begin_write()
    txn.delete_many(identity.space, [identity.encode_values(["A"])])
    txn.put_many(identity.space, [(identity.encode_values(["A"]), row_key(place))])
    txn.commit()
    error = refused(
        towns, CorruptionError, Insert(entity="Member", rows=({"id": 9, "town_code": "A"},))
    )
    assert error.details["entity"] == "Town"


@pytest.mark.parametrize(
    ("mutation", "kind", "fields", "constraint"),
    [
        (Insert(entity="Town", rows=({},)), "required", ("code",), "code required"),
        (Insert(entity="Town", rows=({"code": "A"},)), "unique", ("code",), "identity"),
        (
            Insert(entity="Town", rows=({"code": "D", "zone": "n", "lot": 1},)),
            "unique",
            ("zone", "lot"),
            "plots",
        ),
        (Insert(entity="Town", rows=({"code": 5},)), "type", ("code",), "code type"),
        (Insert(entity="Member", rows=({"rank": "chief"},)), "enum", ("rank",), "rank enum"),
        (Insert(entity="Member", rows=({"points": 2**64},)), "range", ("points",), "points range"),
        (
            Update(entity="Member", identity=(1,), changes={"rank": "chief"}),
            "enum",
            ("rank",),
            "rank enum",
        ),
        (
            Update(entity="Member", identity=(1,), changes={"points": 1_000}),
            "check",
            ("points",),
            "few_points",
        ),
        (
            Update(entity="Member", identity=(1,), changes={"town_code": "X"}),
            "foreign_key",
            ("town_code",),
            "town",
        ),
        (Delete(entity="Town", identities=(("A",),)), "foreign_key", ("code",), "town"),
        (
            Update(entity="Member", identity=(1,), changes={"id": 5}),
            "immutable",
            ("id",),
            "identity",
        ),
    ],
)
def test_every_refusal_says_kind_entity_fields_constraint_and_identity(
    towns: Store, mutation: Mutation, kind: str, fields: tuple[str, ...], constraint: str
) -> None:
    with pytest.raises(OrmdbError) as caught:
        towns.commit(mutation)
    details = caught.value.details
    assert (details["kind"], details["entity"]) == (kind, mutation.entity)
    assert (details["fields"], details["constraint"]) == (fields, constraint)
    assert "identity" in details
