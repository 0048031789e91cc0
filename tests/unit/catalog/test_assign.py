"""Holds which numbers a declaration gets, keeps, and never gets again."""

from __future__ import annotations

from ormdb.catalog.assign import NumberMarks, assign_numbers, marks_after, settle_fills
from ormdb.catalog.declared import normalize
from ormdb.catalog.text import bundle_from_text
from ormdb.ir.schema import UNASSIGNED, EntityDef, SchemaBundle

AIRPORT = """
entity Airport
  identity faa
  faa: text
  name: text
  alt: int?
  index by_name on name
"""
FLIGHT = """
entity Flight
  identity id
  id: int
  origin: text
  gain: int? computed id + 1
  late: int? stored id + 2
"""
ORIGIN = "relation Flight.from (origin) -> Airport (faa)\n"


def declared(*parts: str) -> SchemaBundle:
    return normalize(bundle_from_text("ormdb schema 1\n" + "".join(parts)))


def entity(bundle: SchemaBundle, name: str) -> EntityDef:
    return next(each for each in bundle.entities if each.name == name)


def slots(bundle: SchemaBundle, name: str) -> dict[str, int]:
    return {field.name: field.slot for field in entity(bundle, name).fields}


def test_a_first_version_is_numbered_from_the_start() -> None:
    stored = assign_numbers(declared(AIRPORT, FLIGHT, ORIGIN), None)
    assert [each.id for each in stored.entities] == [1, 2]
    assert slots(stored, "Airport") == {"faa": 0, "name": 1, "alt": 2}
    assert slots(stored, "Flight") == {"id": 0, "origin": 1, "gain": UNASSIGNED, "late": 2}
    assert entity(stored, "Airport").indexes[0].id == 1
    assert (stored.relations[0].id, stored.relations[0].slot) == (1, 3)


def test_only_an_enforced_relation_to_no_int_identity_has_a_hidden_slot() -> None:
    plain = declared(AIRPORT, FLIGHT, ORIGIN + "  not enforced\n")
    assert assign_numbers(plain, None).relations[0].slot == UNASSIGNED
    by_int = FLIGHT + "  next: int?\nrelation Flight.after (next) -> Flight (id)\n"
    assert assign_numbers(declared(by_int), None).relations[0].slot == UNASSIGNED
    composite = (
        "entity Leg\n  identity a, b\n  a: int\n  b: int\n  c: int?\n  d: int?\n"
        "relation Leg.after (c, d) -> Leg (a, b)\n"
    )
    assert assign_numbers(declared(composite), None).relations[0].slot == 4
    unique = FLIGHT + (
        "  code: int?\n  other: int?\n  unique index u on code\n"
        "relation Flight.twin (other) -> Flight (code)\n"
    )
    assert assign_numbers(declared(unique), None).relations[0].slot == 5


def test_numbers_are_kept_by_name_whatever_the_order() -> None:
    stored = assign_numbers(declared(AIRPORT, FLIGHT, ORIGIN), None)
    turned = AIRPORT.replace("  faa: text\n  name: text\n", "  name: text\n  faa: text\n")
    again = assign_numbers(declared(FLIGHT, turned, ORIGIN), stored)
    assert {e.name: e.id for e in again.entities} == {"Airport": 1, "Flight": 2}
    assert slots(again, "Airport") == {"faa": 0, "name": 1, "alt": 2}
    assert again.relations == stored.relations


def test_a_dropped_number_is_not_given_out_again() -> None:
    marks = NumberMarks()
    first = assign_numbers(declared(AIRPORT, FLIGHT, ORIGIN), None, marks)
    marks = marks_after(marks, first)
    second = assign_numbers(declared(AIRPORT.replace("  alt: int?\n", "")), first, marks)
    marks = marks_after(marks, second)
    third = assign_numbers(
        declared(AIRPORT.replace("by_name on", "renamed on"), FLIGHT, ORIGIN), second, marks
    )
    assert slots(third, "Airport") == {"faa": 0, "name": 1, "alt": 3}
    assert entity(third, "Flight").id == 3
    assert entity(third, "Airport").indexes[0].id == 2
    assert third.relations[0].id == 2


def test_a_field_of_another_type_gets_another_slot_and_so_do_its_indexes() -> None:
    stored = assign_numbers(declared(AIRPORT), None)
    again = assign_numbers(declared(AIRPORT.replace("name: text", "name: bytes")), stored)
    assert slots(again, "Airport") == {"faa": 0, "name": 3, "alt": 2}
    assert entity(again, "Airport").indexes[0].id == 2


def test_an_index_of_other_columns_is_another_index() -> None:
    stored = assign_numbers(declared(AIRPORT), None)
    for changed in ("index by_name on name desc", "unique index by_name on name"):
        text = AIRPORT.replace("index by_name on name", changed)
        assert entity(assign_numbers(declared(text), stored), "Airport").indexes[0].id == 2


def test_a_relation_that_is_stored_otherwise_is_another_relation() -> None:
    stored = assign_numbers(declared(AIRPORT, FLIGHT, ORIGIN), None)
    for changed in (
        ORIGIN + "  not enforced\n",
        ORIGIN.replace("(origin) -> Airport (faa)", "(id) -> Flight (id)"),
    ):
        assert assign_numbers(declared(AIRPORT, FLIGHT, changed), stored).relations[0].id == 2
    for kept in (ORIGIN + "  inverse flights\n", ORIGIN + '  doc "From where."\n'):
        found = assign_numbers(declared(AIRPORT, FLIGHT, kept), stored).relations[0]
        assert (found.id, found.slot) == (1, 3)


def test_a_virtual_field_gets_a_slot_when_it_becomes_stored() -> None:
    stored = assign_numbers(declared(FLIGHT), None)
    again = assign_numbers(declared(FLIGHT.replace("computed", "stored")), stored)
    assert slots(again, "Flight") == {"id": 0, "origin": 1, "gain": 3, "late": 2}


def fills(bundle: SchemaBundle) -> dict[str, object]:
    return {field.name: field.fill for field in bundle.entities[0].fields if field.fill is not None}


def test_a_new_required_field_is_filled_with_its_literal_default_once() -> None:
    first = assign_numbers(declared(AIRPORT + "  tz: text = 'a'\n"), None)
    assert fills(first) == {}  # a new entity has no older rows
    grown = AIRPORT + "  tz: text = 'a'\n  dst: text = 'b'\n  note: text? = 'c'\n"
    second = assign_numbers(declared(grown), first)
    assert fills(second) == {"dst": "b"}
    later = grown.replace("'b'", "'other'")
    assert fills(assign_numbers(declared(later), second)) == {"dst": "b"}
    assert fills(settle_fills(declared(grown.replace(" = 'b'", "")), second)) == {"dst": "b"}


def test_a_declared_fill_is_the_fill() -> None:
    first = assign_numbers(declared(AIRPORT), None)
    grown = AIRPORT + "  dst: text = 'b'\n    fill 'x'\n  note: text?\n    fill 'y'\n"
    second = assign_numbers(declared(grown), first)
    assert fills(second) == {"dst": "x", "note": "y"}
    # What old rows read as does not change because a declaration stops saying it.
    silent = AIRPORT + "  dst: text = 'b'\n  note: text?\n"
    assert fills(assign_numbers(declared(silent), second)) == {"dst": "x", "note": "y"}
