"""Holds, trait by trait, what becomes of the things a SQLite file can have."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ormdb.catalog.validate import validate
from ormdb.errors import ImportFileError, ValueTypeError
from ormdb.exchange.plan import DeclaredType, ImportOptions, ImportPlan, Link
from ormdb.exchange.sqlite import plan_sqlite
from ormdb.ir.schema import EntityDef, LiteralDefault, RelationDef, SequenceDefault
from ormdb.ir.type_text import type_name
from ormdb.ir.value import RowDict, Value


class Source:
    """A SQLite file made for one test."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "source.db")

    def make(self, sql: str, *rows: tuple[str, list[Any]]) -> None:
        connection = sqlite3.connect(self.path)
        connection.executescript(sql)
        for statement, values in rows:
            connection.execute(statement, values)
        connection.commit()
        connection.close()

    def plan(self, **options: Any) -> ImportPlan:
        """The plan, which any schema has to pass as valid."""
        plan = plan_sqlite(self.path, ImportOptions(**options))
        validate(plan.bundle)
        return plan


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def entity_of(plan: ImportPlan, name: str) -> EntityDef:
    return next(entity for entity in plan.bundle.entities if entity.name == name)


def types_of(plan: ImportPlan, name: str) -> dict[str, str]:
    return {
        field.name: type_name(field.type) + ("?" if field.optional else "")
        for field in entity_of(plan, name).fields
    }


def rows_of(plan: ImportPlan, name: str) -> list[RowDict]:
    return list(next(table for table in plan.tables if table.source == name).read())


def relation_of(plan: ImportPlan, source: str, name: str) -> RelationDef:
    return next(r for r in plan.bundle.relations if (r.source, r.name) == (source, name))


# --- identities -----------------------------------------------------------------------------


def test_an_integer_primary_key_is_the_identity_and_counts_on(source: Source) -> None:
    source.make("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); INSERT INTO t VALUES (7, 'a')")
    with source.plan() as plan:
        entity = entity_of(plan, "t")
        assert entity.identity == ("id",)
        assert entity.fields[0].default == SequenceDefault()
        assert rows_of(plan, "t") == [{"id": 7, "x": "a"}]


def test_a_composite_key_keeps_its_order(source: Source) -> None:
    source.make(
        """CREATE TABLE t (a INT, b TEXT, c INT, PRIMARY KEY (c, a)) WITHOUT ROWID;
        INSERT INTO t VALUES (1, 'x', 2)"""
    )
    with source.plan() as plan:
        assert entity_of(plan, "t").identity == ("c", "a")
        assert types_of(plan, "t") == {"a": "int", "b": "text?", "c": "int"}


def test_rows_without_a_key_are_told_apart_by_their_rowid(source: Source) -> None:
    source.make(
        """CREATE TABLE t (x); INSERT INTO t VALUES ('a'), ('b'), ('c');
        DELETE FROM t WHERE x = 'b'"""
    )
    with source.plan() as plan:
        assert entity_of(plan, "t").identity == ("rowid",)
        assert rows_of(plan, "t") == [{"rowid": 1, "x": "a"}, {"rowid": 3, "x": "c"}]
        assert "told apart by the field rowid: it has no key" in plan.notes[0]


def test_a_column_called_rowid_keeps_its_name(source: Source) -> None:
    source.make("CREATE TABLE t (rowid TEXT); INSERT INTO t VALUES ('mine')")
    with source.plan() as plan:
        assert entity_of(plan, "t").identity == ("row_number",)
        assert rows_of(plan, "t") == [{"rowid": "mine", "row_number": 1}]


def test_rows_are_counted_where_no_rowid_can_be_read(source: Source) -> None:
    source.make("CREATE TABLE t (rowid, _rowid_, oid); INSERT INTO t VALUES (5, 6, 7), (8, 9, 9)")
    with source.plan() as plan:
        assert [row["row_number"] for row in rows_of(plan, "t")] == [1, 2]


@pytest.mark.parametrize("values", ["(NULL), (NULL), ('a')", "(1), ('1'), (x'31')"])
def test_a_key_that_ormdb_cannot_hold_gives_way_to_the_rowid(source: Source, values: str) -> None:
    source.make(f"CREATE TABLE t (k PRIMARY KEY); INSERT INTO t VALUES {values}")
    with source.plan() as plan:
        assert entity_of(plan, "t").identity == ("rowid",)
        assert any("its primary key is not usable" in note for note in plan.notes)
        assert len(rows_of(plan, "t")) == 3


def test_a_loose_key_with_nulls_stays_unique(source: Source) -> None:
    source.make("CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES (NULL), ('a')")
    with source.plan() as plan:
        (index,) = entity_of(plan, "t").indexes
        assert index.unique
        assert [part.field for part in index.fields] == ["k"]


# --- types ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "values", "kind"),
    [
        ("TEXT", ["a", ""], "text"),
        ("DATE", ["2013-01-01"], "text"),
        ("VARCHAR(2)", ["longer"], "text"),
        ("BOOLEAN", [1, 0], "int"),
        ("INT", [-(2**63), 2**63 - 1], "int"),
        ("INT", [1, 2.5], "float"),
        ("INT", [2**53 + 1, 2.5], "json"),
        ("REAL", [1, 2], "float"),
        ("", [float("inf"), 1.5], "float"),
        ("", [float("inf"), 1], "float"),
        ("", [float("inf"), "a"], "struct(int: int?, real: float?, text: text?, blob: bytes?)"),
        ("INT", [1, "a"], "json"),
        ("BLOB", [b"\x00", b""], "bytes"),
        ("", [b"a", "a"], "struct(int: int?, real: float?, text: text?, blob: bytes?)"),
        ("INT", [], "int"),
        ("TEXT", [], "text"),
        ("REAL", [], "float"),
        ("NUMERIC", [], "int"),
        ("", [], "bytes"),
    ],
)
def test_a_column_gets_the_type_that_holds_its_values(
    source: Source, declared: str, values: list[Value], kind: str
) -> None:
    source.make(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, class {declared})",
        *(("INSERT INTO t (class) VALUES (?)", [value]) for value in values),
    )
    with source.plan() as plan:
        assert types_of(plan, "t")["class"] == kind + "?"
        read = [row["class"] for row in rows_of(plan, "t")]
        if kind.startswith("struct"):
            assert [next(iter(part.values())) for part in read] == values
        else:
            assert read == values


def test_a_declared_type_is_read_from_what_sqlite_keeps(source: Source) -> None:
    source.make(
        """CREATE TABLE t (day DATE, paid BOOLEAN, price NUMERIC, extra TEXT, tag TEXT);
        INSERT INTO t VALUES ('2013-01-01', 1, 12.5, '{"a": [1.5]}', 5)"""
    )
    types = {
        ("t", "day"): DeclaredType.parse("date"),
        ("t", "paid"): DeclaredType.parse("bool"),
        ("t", "price"): DeclaredType.parse("decimal(10, 2)"),
        ("t", "extra"): DeclaredType.parse("json?"),
    }
    with source.plan(types=types) as plan:
        (row,) = rows_of(plan, "t")
        assert repr(row["day"]) == "datetime.date(2013, 1, 1)"
        assert row["paid"] is True
        assert str(row["price"]) == "12.50"
        assert row["extra"] == {"a": [1.5]}
        assert types_of(plan, "t")["day"] == "date?"


def test_a_value_that_a_declared_type_cannot_hold_is_refused(source: Source) -> None:
    source.make("CREATE TABLE t (day DATE); INSERT INTO t VALUES ('soon')")
    types = {("t", "day"): DeclaredType.parse("date")}
    wanted = r"^t\.day: text 'soon' is not a date"
    with source.plan(types=types) as plan, pytest.raises(ValueTypeError, match=wanted):
        rows_of(plan, "t")


def test_text_that_is_not_unicode_is_refused_or_read_as_bytes(source: Source) -> None:
    source.make("CREATE TABLE t (x TEXT); INSERT INTO t VALUES (CAST(x'ff61' AS TEXT))")
    with source.plan() as plan, pytest.raises(ImportFileError, match=r"--type t\.x=bytes"):
        rows_of(plan, "t")
    with source.plan(types={("t", "x"): DeclaredType.parse("bytes")}) as plan:
        assert rows_of(plan, "t") == [{"rowid": 1, "x": b"\xffa"}]


def test_required_columns_stay_required(source: Source) -> None:
    source.make("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b TEXT)")
    with source.plan() as plan:
        assert types_of(plan, "t") == {"id": "int", "a": "text", "b": "text?"}


@pytest.mark.parametrize(
    ("declared", "default", "kept"),
    [
        ("INT", "5", 5),
        ("INT", "'5'", 5),
        ("TEXT", "'it''s'", "it's"),
        ("TEXT", "5", "5"),
        ("REAL", "1", 1.0),
        ("BLOB", "x'00ff'", b"\x00\xff"),
        ("TEXT", "CURRENT_TIMESTAMP", None),
        ("INT", "(1 + 1)", None),
        ("INT", "NULL", None),
        ("INT", "'a'", None),
    ],
)
def test_a_literal_default_is_kept(
    source: Source, declared: str, default: str, kept: Value
) -> None:
    source.make(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared} DEFAULT {default})")
    with source.plan() as plan:
        field = entity_of(plan, "t").fields[1]
        assert field.default == (None if kept is None else LiteralDefault(value=kept))


def test_generated_columns_become_plain_values(source: Source) -> None:
    source.make(
        """CREATE TABLE t (a INT, b INT AS (a * 2) STORED, c TEXT AS (a || 'x'));
        INSERT INTO t VALUES (3)"""
    )
    with source.plan() as plan:
        assert rows_of(plan, "t") == [{"rowid": 1, "a": 3, "b": 6, "c": "3x"}]
        assert "t.b is generated: its values are kept" in plan.notes


# --- names, indexes, what is left out ---------------------------------------------------------


def test_quoted_and_reserved_names_are_kept(source: Source) -> None:
    source.make(
        'CREATE TABLE "order details" ('
        '"select" INTEGER PRIMARY KEY, "say ""hi""" TEXT, "a.b" INT);'
        "INSERT INTO \"order details\" VALUES (1, 'x', 2)"
    )
    with source.plan() as plan:
        assert rows_of(plan, "order details") == [{"select": 1, 'say "hi"': "x", "a.b": 2}]


def test_a_name_that_the_schema_cannot_hold_is_changed_and_noted(source: Source) -> None:
    source.make('CREATE TABLE "" ("a\nb" INT, "" INT); INSERT INTO "" VALUES (1, 2)')
    with source.plan() as plan:
        assert rows_of(plan, "") == [{"rowid": 1, "a_b": 1, "unnamed": 2}]
        assert "the table '' is named 'unnamed'" in plan.notes
        assert "the column of  'a\\nb' is named 'a_b'" in plan.notes


def test_indexes_are_kept_but_for_those_that_cannot_be(source: Source) -> None:
    source.make(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INT, c, UNIQUE (b, a));
        INSERT INTO t VALUES (1, 'x', 1, 1), (2, 'y', 2, 'mixed');
        CREATE INDEX i1 ON t (b DESC, a);
        CREATE INDEX i2 ON t (b) WHERE b > 1;
        CREATE INDEX i3 ON t (b + 1);
        CREATE UNIQUE INDEX i4 ON t (a COLLATE NOCASE, b);
        CREATE INDEX i5 ON t (c);
        CREATE UNIQUE INDEX i6 ON t (id);"""
    )
    with source.plan() as plan:
        kept = {
            index.name: ([(p.field, p.descending) for p in index.fields], index.unique)
            for index in entity_of(plan, "t").indexes
        }
        assert kept == {
            "a_unique": ([("a", False)], True),
            "b_a_unique": ([("b", False), ("a", False)], True),
            "i1": ([("b", True), ("a", False)], False),
            "i4": ([("a", False), ("b", False)], True),
        }
        notes = "\n".join(plan.notes)
        for words in (
            "the index i2 of t is left out: it is partial",
            "the index i3 of t is left out: it is over an expression",
            "the index i4 of t is unique by code point, not by NOCASE",
            "the index i5 of t is left out: c holds values of all kinds",
        ):
            assert words in notes


def test_what_is_left_out_is_named(source: Source) -> None:
    source.make(
        """CREATE TABLE t (x INT CHECK (x > 0), "check" TEXT);
        CREATE TABLE u (x TEXT DEFAULT 'check'); -- check
        CREATE VIEW "my view" AS SELECT 1;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;"""
    )
    with source.plan() as plan:
        assert "the view 'my view' is left out" in plan.notes
        assert "the trigger 'g' is left out" in plan.notes
        assert "the check constraints of t are left out" in plan.notes
        assert "the check constraints of u are left out" not in plan.notes


def test_a_file_without_tables_is_refused(source: Source) -> None:
    source.make("CREATE TABLE t (x); DROP TABLE t")
    with pytest.raises(ImportFileError, match="no tables"):
        source.plan()


def test_a_type_for_a_column_that_is_not_there_is_refused(source: Source) -> None:
    source.make("CREATE TABLE t (x)")
    with pytest.raises(ImportFileError, match=r"no column t\.y"):
        source.plan(types={("t", "y"): DeclaredType.parse("int")})


# --- relations ------------------------------------------------------------------------------


def test_a_foreign_key_is_a_relation_with_both_ways_named(source: Source) -> None:
    source.make(
        """CREATE TABLE customer (id INTEGER PRIMARY KEY);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INT REFERENCES customer);"""
    )
    with source.plan() as plan:
        relation = relation_of(plan, "orders", "customer")
        assert (relation.fields, relation.target_fields) == (("customer_id",), ("id",))
        assert (relation.inverse, relation.inverse_one) == ("orders", False)
        assert relation.enforced


def test_two_foreign_keys_to_one_table_have_names_of_their_own(source: Source) -> None:
    source.make(
        """CREATE TABLE airport (faa TEXT PRIMARY KEY);
        CREATE TABLE flight (origin TEXT REFERENCES airport, dest TEXT REFERENCES airport);"""
    )
    with source.plan() as plan:
        names = {(r.name, r.inverse) for r in plan.bundle.relations}
        assert names == {
            ("origin_airport", "flight_origin_airport"),
            ("dest_airport", "flight_dest_airport"),
        }


def test_a_table_may_refer_to_itself(source: Source) -> None:
    source.make(
        """CREATE TABLE node (id INTEGER PRIMARY KEY, parent_id INT REFERENCES node (id));
        INSERT INTO node VALUES (1, 2), (2, NULL)"""
    )
    with source.plan() as plan:
        assert relation_of(plan, "node", "parent").inverse == "node_parent"


def test_a_unique_foreign_key_leads_back_to_one_row(source: Source) -> None:
    source.make(
        """CREATE TABLE person (id INTEGER PRIMARY KEY);
        CREATE TABLE passport (person_id INTEGER PRIMARY KEY REFERENCES person);"""
    )
    with source.plan() as plan:
        assert relation_of(plan, "passport", "person").inverse_one


def test_a_composite_foreign_key_is_put_in_the_order_of_the_key(source: Source) -> None:
    source.make(
        """CREATE TABLE t (a INT, b TEXT, PRIMARY KEY (b, a));
        CREATE TABLE u (x INT, y TEXT, FOREIGN KEY (x, y) REFERENCES t (a, b));"""
    )
    with source.plan() as plan:
        (relation,) = plan.bundle.relations
        assert (relation.fields, relation.target_fields) == (("y", "x"), ("b", "a"))


def test_a_foreign_key_may_lead_to_unique_columns(source: Source) -> None:
    source.make(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT UNIQUE);
        CREATE TABLE u (code TEXT REFERENCES t (CODE));"""
    )
    with source.plan() as plan:
        (relation,) = plan.bundle.relations
        assert relation.target_fields == ("code",)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE TABLE u (x REFERENCES nosuch)", "there is no table 'nosuch'"),
        ("CREATE TABLE u (x INT REFERENCES t (nosuch))", "its columns do not match"),
        ("CREATE TABLE u (x INT REFERENCES t (loose))", "are not unique"),
        (
            "CREATE TABLE u (x TEXT REFERENCES t (id)); INSERT INTO u VALUES ('a')",
            "are of different types",
        ),
        (
            "CREATE TABLE u (x REFERENCES t (id)); INSERT INTO u VALUES (1), ('a')",
            "its values are of several kinds",
        ),
    ],
)
def test_a_foreign_key_that_cannot_be_followed_is_named(source: Source, sql: str, why: str) -> None:
    source.make(
        f"""CREATE TABLE t (id INTEGER PRIMARY KEY, loose INT);
        INSERT INTO t VALUES (1, 1); {sql}"""
    )
    with source.plan() as plan:
        assert plan.bundle.relations == ()
        assert any(note.startswith("the foreign key u(x)") and why in note for note in plan.notes)


def test_columns_without_values_take_the_type_of_their_target(source: Source) -> None:
    source.make(
        """CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('a');
        CREATE TABLE u (x REFERENCES t);
        CREATE TABLE v (id INTEGER PRIMARY KEY, w REFERENCES v);"""
    )
    with source.plan() as plan:
        assert types_of(plan, "u")["x"] == "text?"
        assert types_of(plan, "v")["w"] == "int?"
        assert len(plan.bundle.relations) == 2


def test_whole_numbers_that_refer_to_floats_become_floats(source: Source) -> None:
    source.make(
        """CREATE TABLE t (k REAL PRIMARY KEY); INSERT INTO t VALUES (1), (2.5);
        CREATE TABLE u (x INT REFERENCES t); INSERT INTO u VALUES (1);"""
    )
    with source.plan() as plan:
        assert types_of(plan, "u")["x"] == "float?"
        assert [repr(row["x"]) for row in rows_of(plan, "u")] == ["1.0"]
        assert plan.dangling == ()


def test_a_link_table_makes_many_to_many_relations_both_ways(source: Source) -> None:
    source.make(
        """CREATE TABLE movie (id INTEGER PRIMARY KEY);
        CREATE TABLE person (id INTEGER PRIMARY KEY);
        CREATE TABLE cast (
          movie_id INT REFERENCES movie, person_id INT REFERENCES person, list_order INT,
          PRIMARY KEY (movie_id, person_id));"""
    )
    with source.plan() as plan:
        ways = {(t.entity, t.name, t.edge, t.near, t.far, t.target) for t in plan.bundle.throughs}
        assert ways == {
            ("movie", "person", "cast", "movie", "person", "person"),
            ("person", "movie", "cast", "person", "movie", "movie"),
        }
        assert "list_order" in types_of(plan, "cast")


def test_a_link_from_a_table_to_itself_has_two_names(source: Source) -> None:
    source.make(
        """CREATE TABLE person (id INTEGER PRIMARY KEY);
        CREATE TABLE friend (a_id INT REFERENCES person, b_id INT REFERENCES person,
          UNIQUE (a_id, b_id));"""
    )
    with source.plan() as plan:
        assert [(t.name, t.near, t.far) for t in plan.bundle.throughs] == [
            ("b_over_friend", "a", "b"),
            ("a_over_friend", "b", "a"),
        ]


DANGLING = """
    CREATE TABLE t (k TEXT PRIMARY KEY COLLATE NOCASE); INSERT INTO t VALUES ('a'), ('B');
    CREATE TABLE u (x TEXT REFERENCES t); INSERT INTO u VALUES ('a'), ('b'), ('q'), (NULL);
"""


def test_dangling_rows_are_refused_with_their_number(source: Source) -> None:
    source.make(DANGLING)
    with pytest.raises(ImportFileError) as caught:
        source.plan()
    # 'b' is 'B' to SQLite here, but no key of ormdb's.
    assert "u.(x) -> t.(k): 2 rows point at nothing, for example text 'b'" in caught.value.message
    assert "--dangling unenforce" in caught.value.message


def test_dangling_relations_are_unenforced_when_asked(source: Source) -> None:
    source.make(DANGLING)
    with source.plan(dangling="unenforce") as plan:
        (relation,) = plan.bundle.relations
        assert not relation.enforced
        assert [(one.rows, one.relation) for one in plan.dangling] == [(2, relation.name)]


def test_a_delete_does_what_it_did_in_sqlite_where_it_can(source: Source) -> None:
    source.make(
        """CREATE TABLE t (id INTEGER PRIMARY KEY);
        CREATE TABLE u (t_id INT REFERENCES t ON DELETE SET NULL);
        CREATE TABLE v (t_id INT REFERENCES t ON DELETE CASCADE);
        CREATE TABLE w (t_id INT NOT NULL REFERENCES t ON DELETE SET NULL);
        CREATE TABLE x (t_id INT REFERENCES t ON DELETE SET DEFAULT);"""
    )
    with source.plan() as plan:
        found = [relation_of(plan, name, "t").on_delete for name in "uvwx"]
        assert found == ["set_null", "cascade", "restrict", "restrict"]
        notes = [note for note in plan.notes if "becomes restrict" in note]
        assert [note.partition(": ")[2] for note in notes] == [
            "on delete set null becomes restrict",
            "on delete set default becomes restrict",
        ]


def test_a_relation_that_is_not_declared_can_be_asked_for(source: Source) -> None:
    source.make(
        """CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);
        CREATE TABLE u (x INT); INSERT INTO u VALUES (1);"""
    )
    with source.plan(links=(Link.parse("u.x -> t.id as owner"),)) as plan:
        assert relation_of(plan, "u", "owner").inverse == "u"
    with pytest.raises(ImportFileError, match=r"no column u\.y"):
        source.plan(links=(Link.parse("u.y -> t.id"),))
