"""Holds what CSV and JSON Lines files become: entities, types, keys and relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ormdb.catalog.validate import validate
from ormdb.errors import ImportFileError
from ormdb.exchange.files import plan_files
from ormdb.exchange.plan import DeclaredType, ImportOptions, ImportPlan, Link
from ormdb.ir.schema import EntityDef
from ormdb.ir.type_text import type_name
from ormdb.ir.value import RowDict


class Folder:
    """Files made for one test, and the plan of importing them all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[str] = []

    def write(self, name: str, text: str) -> None:
        (self._path / name).write_text(text, encoding="utf-8")
        self._files.append(str(self._path / name))

    def plan(self, **options: Any) -> ImportPlan:
        plan = plan_files(self._files, ImportOptions(**options))
        validate(plan.bundle)
        return plan


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def entity_of(plan: ImportPlan, name: str) -> EntityDef:
    return next(entity for entity in plan.bundle.entities if entity.name == name)


def types_of(plan: ImportPlan, name: str) -> dict[str, str]:
    return {
        field.name: type_name(field.type) + ("?" if field.optional else "")
        for field in entity_of(plan, name).fields
    }


def rows_of(plan: ImportPlan, name: str) -> list[RowDict]:
    return list(next(table for table in plan.tables if table.source == name).read())


def test_types_and_nulls_come_from_the_data(folder: Folder) -> None:
    folder.write(
        "flights.csv",
        "id,carrier,delay,air,day,left\n"
        "1,UA,5,1.5,2013-01-01,2013-01-01T05:00:00Z\n"
        "2,007,NA,NA,2013-01-02,NA\n",
    )
    with folder.plan(nulls=("NA",)) as plan:
        assert types_of(plan, "flights") == {
            "id": "int",
            "carrier": "text",
            "delay": "int?",
            "air": "float?",
            "day": "date",
            "left": "timestamp?",
        }
        first, second = rows_of(plan, "flights")
        assert (first["delay"], first["air"], str(first["day"])) == (5, 1.5, "2013-01-01")
        assert (second["carrier"], second["delay"], second["left"]) == ("007", None, None)
        assert plan.rows == 2


def test_an_empty_cell_is_null_unless_said_otherwise(folder: Folder) -> None:
    folder.write("t.csv", "id,x\n1,\n2,a\n")
    with folder.plan() as plan:
        assert [row["x"] for row in rows_of(plan, "t")] == [None, "a"]
    with folder.plan(nulls=("NA",)) as plan:
        assert [row["x"] for row in rows_of(plan, "t")] == ["", "a"]


def test_members_of_json_keep_their_types(folder: Folder) -> None:
    folder.write(
        "events.jsonl",
        '{"id": 1, "tags": ["a"], "ok": true, "cost": 12345678901234567890.25}\n'
        '{"id": 2, "note": null, "cost": 1}\n',
    )
    with folder.plan() as plan:
        assert types_of(plan, "events") == {
            "id": "int",
            "tags": "json?",
            "ok": "bool?",
            "cost": "decimal(22, 2)",
            "note": "text?",
        }
        assert [str(row["cost"]) for row in rows_of(plan, "events")] == [
            "12345678901234567890.25",
            "1.00",
        ]


def test_numbers_that_would_be_rounded_are_refused(folder: Folder) -> None:
    folder.write("t.jsonl", '{"id": 1, "x": 1e400}\n')
    with pytest.raises(ImportFileError, match=r"t\.x holds numbers .* --type t\.x=float"):
        folder.plan()


def test_declared_types_are_read(folder: Folder) -> None:
    folder.write("t.csv", "id,price,paid\n1,1.5,yes\n2,2,no\n")
    types = {
        ("t", "price"): DeclaredType.parse("decimal(10, 2)?"),
        ("t", "paid"): DeclaredType.parse("bool"),
    }
    with folder.plan(types=types) as plan:
        assert types_of(plan, "t") == {"id": "int", "price": "decimal(10, 2)?", "paid": "bool"}
        assert [(str(r["price"]), r["paid"]) for r in rows_of(plan, "t")] == [
            ("1.50", True),
            ("2.00", False),
        ]


def test_a_cell_that_a_declared_type_cannot_hold_names_its_row(folder: Folder) -> None:
    folder.write("t.csv", "id,price\n1,1.5\n2,much\n")
    types = {("t", "price"): DeclaredType.parse("decimal(10, 2)")}
    wanted = r"row 2: t\.price: text 'much'"
    with folder.plan(types=types) as plan, pytest.raises(ImportFileError, match=wanted):
        rows_of(plan, "t")


def test_timestamps_without_a_zone_are_noted_or_utc(folder: Folder) -> None:
    folder.write("t.csv", "id,at\n1,2013-01-01 05:00:00\n")
    with folder.plan() as plan:
        assert types_of(plan, "t")["at"] == "text"
        assert any("t.at holds timestamps without a zone" in note for note in plan.notes)
    with folder.plan(utc=True) as plan:
        assert str(rows_of(plan, "t")[0]["at"]) == "2013-01-01 05:00:00+00:00"
    types = {("t", "at"): DeclaredType.parse("timestamp")}
    with folder.plan(utc=True, types=types) as plan:
        assert str(rows_of(plan, "t")[0]["at"]) == "2013-01-01 05:00:00+00:00"
    with folder.plan(types=types) as plan, pytest.raises(ImportFileError, match="row 1"):
        rows_of(plan, "t")


# --- identities -----------------------------------------------------------------------------


def test_a_unique_id_is_the_identity(folder: Folder) -> None:
    folder.write("t.csv", "id,x\na,1\nb,2\n")
    with folder.plan() as plan:
        assert entity_of(plan, "t").identity == ("id",)


@pytest.mark.parametrize("text", ["id,x\n1,1\n1,2\n", "id,x\n1,1\n,2\n", "key,x\n1,2\n2,3\n"])
def test_rows_without_an_identity_are_counted(folder: Folder, text: str) -> None:
    folder.write("t.csv", text)
    with folder.plan() as plan:
        assert entity_of(plan, "t").identity == ("row",)
        assert [row["row"] for row in rows_of(plan, "t")] == [1, 2]
        assert any("--identity t=column" in note for note in plan.notes)


def test_an_identity_is_taken_as_asked(folder: Folder) -> None:
    folder.write("t.csv", "a,b,c\n1,x,1\n1,y,1\n")
    with folder.plan(identities={"t": ("b", "a")}) as plan:
        assert entity_of(plan, "t").identity == ("b", "a")
    with pytest.raises(ImportFileError, match=r"t\.\(a, c\) cannot be the identity: int 1, int 1"):
        folder.plan(identities={"t": ("a", "c")})


def test_an_identity_with_nulls_or_json_is_refused(folder: Folder) -> None:
    folder.write("t.csv", "a,b\n1,x\n,y\n")
    folder.write("u.jsonl", '{"a": [1]}\n')
    with pytest.raises(ImportFileError, match="a is NULL in some row"):
        folder.plan(identities={"t": ("a",)})
    with pytest.raises(ImportFileError, match="a is json"):
        folder.plan(identities={"u": ("a",)})


# --- relations ------------------------------------------------------------------------------


def test_a_relation_is_made_as_asked(folder: Folder) -> None:
    folder.write("flights.csv", "origin,dest\nJFK,LGA\nLGA,\n")
    folder.write("airports.csv", "faa,name\nJFK,Kennedy\nLGA,La Guardia\n")
    links = (
        Link.parse("flights.origin -> airports.faa as departed_from"),
        Link.parse("flights.dest -> airports.faa"),
    )
    with folder.plan(identities={"airports": ("faa",)}, links=links) as plan:
        assert [(r.name, r.inverse, r.enforced) for r in plan.bundle.relations] == [
            ("departed_from", "flights_departed_from", True),
            ("dest_airports", "flights_dest_airports", True),
        ]
        assert [table.source for table in plan.tables] == ["airports", "flights"]


def test_a_relation_may_lead_to_columns_that_are_unique(folder: Folder) -> None:
    folder.write("a.csv", "id,code\n1,x\n2,y\n")
    folder.write("b.csv", "id,code\n7,x\n")
    with folder.plan(links=(Link.parse("b.code -> a.code"),)) as plan:
        (index,) = entity_of(plan, "a").indexes
        assert (index.name, index.unique) == ("code_unique", True)


def test_a_relation_to_columns_that_repeat_is_refused(folder: Folder) -> None:
    folder.write("a.csv", "id,code\n1,x\n2,x\n")
    folder.write("b.csv", "id,code\n7,x\n")
    with pytest.raises(ImportFileError, match="cannot be the target of a relation"):
        folder.plan(links=(Link.parse("b.code -> a.code"),))


def test_a_relation_between_different_types_is_refused(folder: Folder) -> None:
    folder.write("a.csv", "id\n1\n")
    folder.write("b.csv", "id,a_id\n7,x\n")
    with pytest.raises(ImportFileError, match=r"b\.a_id is text and a\.id is int"):
        folder.plan(links=(Link.parse("b.a_id -> a.id"),))


def test_dangling_rows_are_refused_or_unenforced(folder: Folder) -> None:
    folder.write("a.csv", "id\n1\n")
    folder.write("b.csv", "id,a_id\n7,1\n8,2\n9,3\n10,\n")
    link = (Link.parse("b.a_id -> a.id"),)
    with pytest.raises(ImportFileError, match="2 rows point at nothing, for example int 2"):
        folder.plan(links=link)
    with folder.plan(links=link, dangling="unenforce") as plan:
        assert [r.enforced for r in plan.bundle.relations] == [False]
        assert plan.dangling[0].rows == 2


def test_a_link_file_makes_many_to_many_relations(folder: Folder) -> None:
    folder.write("a.csv", "id\n1\n")
    folder.write("b.csv", "id\n1\n")
    folder.write("ab.csv", "a_id,b_id,weight\n1,1,0.5\n")
    links = (Link.parse("ab.a_id -> a.id"), Link.parse("ab.b_id -> b.id"))
    with folder.plan(links=links, identities={"ab": ("a_id", "b_id")}) as plan:
        assert [(t.entity, t.name) for t in plan.bundle.throughs] == [("a", "b"), ("b", "a")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"identities": {"x": ("a",)}}, "no file is named 'x'; the files are t"),
        ({"identities": {"t": ("b",)}}, "t has no column 'b'; it has a"),
        ({"types": {("t", "b"): DeclaredType.parse("int")}}, "t has no column 'b'"),
        ({"links": (Link.parse("t.a -> u.a"),)}, "no file is named 'u'"),
    ],
)
def test_what_is_asked_for_and_not_there_is_refused(
    folder: Folder, options: dict[str, Any], words: str
) -> None:
    folder.write("t.csv", "a\n1\n")
    with pytest.raises(ImportFileError, match=words):
        folder.plan(**options)


def test_two_files_of_one_name_are_refused(folder: Folder) -> None:
    folder.write("t.csv", "a\n1\n")
    folder.write("t.jsonl", '{"a": 1}\n')
    with pytest.raises(ImportFileError, match="two files have one name"):
        folder.plan()
