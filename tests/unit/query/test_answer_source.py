"""Holds that dicts have what was selected, in order, however many keys there are, and that whatever
is done to one of them changes no other."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

import ormdb
from ormdb.database.database import Database
from ormdb.ir.graph import GraphQuery, Include
from ormdb.ir.mutation import Insert
from ormdb.ir.schema import EntityDef, RelationDef, SchemaBundle
from ormdb.ir.value import IntType, JsonType, RowDict
from tests.unit.query.airline import field

# On both sides of where keys begin and cease to be shared.
WIDTHS = (1, 5, 6, 7, 26, 27, 28, 29, 40)
ODD_NAMES = ("from", "two words", "ünïcode", "quote\"'", "; import os #", "keys", "__doc__x", "a.b")


def opened(names: tuple[str, ...]) -> Database:
    """Two owners, the first with two things that have these fields."""
    owner = EntityDef(name="Owner", fields=(field("id", IntType()),), identity=("id",))
    fields = [field(name, IntType(), optional=True) for name in names]
    fields += [field("id", IntType()), field("owner_id", IntType()), field("data", JsonType())]
    thing = EntityDef(name="Thing", fields=tuple(fields), identity=("id",))
    relation = RelationDef(
        name="owner",
        source="Thing",
        fields=("owner_id",),
        target="Owner",
        target_fields=("id",),
        inverse="things",
    )
    schema = SchemaBundle(entities=(owner, thing), relations=(relation,))
    db = ormdb.open(":memory:", schema=schema)
    db.run_mutations([Insert(entity="Owner", rows=({"id": 1}, {"id": 2}))])
    db.run_mutations([Insert(entity="Thing", rows=tuple(things(names)))])
    return db


def things(names: tuple[str, ...]) -> list[RowDict]:
    return [
        dict(zip(names, range(number, number + 100), strict=False))
        | {"id": number, "owner_id": 1, "data": {"list": [number]}}
        for number in (7, 8)
    ]


def fetched(db: Database, select: tuple[str, ...], *, child: bool = False) -> list[RowDict]:
    includes = (Include(relation="owner"),) if child else ()
    query = GraphQuery(entity="Thing", select=select, includes=includes)
    return db.run_fetch(query).dicts()


@pytest.mark.parametrize("child", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_dicts_hold_what_was_selected_in_its_order(width: int, child: bool) -> None:
    names = tuple(f"f{number}" for number in range(width))
    select = names[::-1]
    wanted = [{name: row[name] for name in select} for row in things(names)]
    if child:
        wanted = [{**row, "owner": {"id": 1}} for row in wanted]
    with opened(names) as db:
        for _ in range(2):  # a plan that is found as one that is made
            found = fetched(db, select, child=child)
            assert found == wanted
            assert [list(row) for row in found] == [list(row) for row in wanted]
            assert {type(row) for row in found} == {dict}


def test_a_name_is_a_key_whatever_its_text() -> None:
    with opened(ODD_NAMES) as db:
        assert len(ODD_NAMES) >= 6
        wanted = [{name: row[name] for name in ODD_NAMES} for row in things(ODD_NAMES)]
        assert fetched(db, ODD_NAMES) == wanted


@pytest.mark.parametrize("name", ["__dict__", "__class__", "__weakref__", "__slots__"])
def test_names_that_mean_something_to_python_are_keys_as_well(name: str) -> None:
    names = (name, *(f"f{number}" for number in range(6)))
    with opened(names) as db:
        assert fetched(db, names) == [{name: row[name] for name in names} for row in things(names)]


def test_whatever_is_done_to_a_dict_changes_no_other() -> None:
    names = tuple(f"f{number}" for number in range(8))
    with opened(names) as db:
        wanted = [dict(row) for row in fetched(db, (*names, "data"))]
        changed, other = fetched(db, (*names, "data"))
        changed["more"] = 1
        del changed["f0"]
        changed["f0"] = "last"
        changed.pop("f3")
        changed["data"]["list"].append("mine")
        changed |= {f"x{number}": number for number in range(50)}
        assert other == wanted[1]
        changed.clear()
        assert fetched(db, (*names, "data")) == wanted
        assert list(fetched(db, (*names, "data"))[0]) == [*names, "data"]


def test_dicts_can_be_copied_pickled_and_written_as_json() -> None:
    names = tuple(f"f{number}" for number in range(8))
    with opened(names) as db:
        (first, _) = fetched(db, names)
        plain = {name: first[name] for name in names}
        assert (
            copy.deepcopy(first) == copy.copy(first) == pickle.loads(pickle.dumps(first)) == plain
        )
        assert json.loads(json.dumps(first)) == plain


def test_keys_are_shared_where_there_are_enough_of_them() -> None:
    sizes = {}
    for width in (5, 6, 27, 28):
        names = tuple(f"f{number}" for number in range(width))
        with opened(names) as db:
            sizes[width] = fetched(db, names)[0].__sizeof__()
        sizes[-width] = {**dict.fromkeys(names)}.__sizeof__()
    assert sizes[6] < sizes[-6] / 2
    assert sizes[27] < sizes[-27] / 2
    assert sizes[28] > sizes[27] * 2
