"""Holds every rule of a valid schema, with the sentence that its breach is told in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ormdb import limits
from ormdb.catalog.text import bundle_from_text
from ormdb.catalog.validate import validate
from ormdb.errors import SchemaError
from ormdb.ir.expr import Expr, FieldRef, Not
from ormdb.ir.schema import CheckDef, EntityDef, FieldDef, LiteralDefault, SchemaBundle
from ormdb.ir.value import EnumType, IntType, StructField, StructType, TextType

FLIGHTS = """\
ormdb schema 1

entity Airport
  identity faa
  faa: text
  name: text
  alt: int?
  code: text?
  unique index by_code on code
  index by_name on name, alt desc
  check high: alt > -500

entity Flight
  identity id
  id: int = sequence
  dep: int?
  arr: int?
  gain: int? computed dep - arr
  slow: bool? stored gain < 0
  at: timestamp = now
  origin_faa: text
  dest_faa: text?
  label: text = expression concat("to ", coalesce(dest_faa, "nowhere"))

entity Crew
  identity id
  id: uuid = uuid7

entity Seat
  identity flight_id, crew_id
  flight_id: int
  crew_id: uuid
  billing: int

relation Flight.origin (origin_faa) -> Airport (faa)
  inverse departures
relation Flight.dest (dest_faa) -> Airport (faa)
  inverse arrivals
  not enforced
relation Seat.flight (flight_id) -> Flight (id)
  inverse seats
  on delete no action
relation Seat.crew (crew_id) -> Crew (id)
  inverse seats
through Flight.crews -> Crew over Seat from flight to crew
  order billing desc
"""


def problems_of(bundle: SchemaBundle) -> tuple[str, ...]:
    with pytest.raises(SchemaError) as caught:
        validate(bundle)
    found: tuple[str, ...] = caught.value.details["problems"]
    assert all(problem in caught.value.message for problem in found)
    return found


def edited(old: str, new: str) -> SchemaBundle:
    assert FLIGHTS.count(old) >= 1, old
    return bundle_from_text(FLIGHTS.replace(old, new, 1))


def test_a_schema_without_mistakes_passes() -> None:
    validate(bundle_from_text(FLIGHTS))
    validate(SchemaBundle(entities=()))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("entity Crew", "entity Flight", "the schema names the entity 'Flight' 2 times"),
        ("entity Crew", 'entity ""', "has an empty name; give it one"),
        ("entity Crew", 'entity "a\\u0000b"', "holds a control character; leave it out"),
        ("entity Crew", 'entity "a\\u2028b"', "holds a control character; leave it out"),
        ("entity Crew", f"entity {'x' * 121}", "is a name of 121 characters; 120 at most"),
        ("  identity faa\n", "", "Airport has no identity; name the field or fields"),
        ("identity faa", "identity iata", "names 'iata', which is not one of its fields"),
        ("identity faa", "identity faa, faa", "the identity of Airport names the field 'faa' 2"),
        ("faa: text", "faa: text?", "Airport.faa is part of the identity and cannot be optional"),
        ("faa: text", "faa: json", "Airport.faa is no scalar and cannot be part of the identity"),
        ("faa: text", "faa: text computed name", "Airport.faa is computed and cannot be part"),
        ("name: text", "faa: text", "Airport names the field 'faa' 2 times"),
        (
            "name: text",
            "name: decimal(39, 2)",
            "decimal(39, 2) is no type; the precision is",
        ),
        ("name: text", "name: decimal(3, 4)", "decimal(3, 4) is no type"),
        ("name: text", "name: text(0)", "text(0) is no type; give 1 to"),
        ("name: text", "name: enum()", "Airport.name: an enum needs at least one variant"),
        ("name: text", 'name: enum("a", "a")', "Airport.name: the enum names 'a' 2 times"),
        ("name: text", 'name: enum("")', "Airport.name: an enum has an empty variant"),
        ("name: text", 'name: list(enum(""))', "Airport.name items: an enum has an empty variant"),
        ("name: text", "name: struct()", "Airport.name: a struct needs at least one field"),
        ("name: text", "name: struct(a: int, a: int)", "the struct names 'a' 2 times"),
        ("name: text", 'name: struct("": int)', "is no name for a field of a struct"),
        ("alt: int?", "alt: int? = 'x'", "the default of Airport.alt is an int and cannot be"),
        ("alt: int?", "alt: int? = 9223372036854775807.0", "Airport.alt"),
        ("alt: int?", "alt: int? = None", "has NULL as its default, which says nothing"),
        ("alt: int?", "alt: int? = now", "the default now is for timestamps and dates"),
        ("alt: int?", "alt: int? = uuid7", "the default uuid7 is for uuids"),
        ("alt: int?", "alt: text? = sequence", "the default sequence is for ints"),
        ("dep: int?", "dep: int = sequence", "Flight has one sequence, but id, dep all take"),
        ("alt: int?", "alt: int? = expression name", "where an int is needed"),
        ("alt: int?", "alt: int? = expression nme", "Airport has no field 'nme'; it has faa"),
        ("dep: int?", "dep: int? = expression gain", "uses gain, which is computed after it"),
        (
            "dep: int?",
            "dep: text? = expression label",
            "the default of Flight.dep uses label, whose default is an expression itself",
        ),
        ("alt: int?", "alt: int?\n    fill 'x'", "the fill of Airport.alt is an int and cannot be"),
        (
            "dep - arr",
            "dep - arr\n    fill 5",
            "gain is computed when read and needs no fill",
        ),
        ("gain: int?", "gain: int", "Flight.gain is required, but its expression can be NULL"),
        ("dep - arr", "dep < arr", "Flight.gain: the condition is a bool where an int is needed"),
        ("dep - arr", "dep - origin.alt", "origin.alt leaves Flight; only its own fields can be"),
        ("dep - arr", "year(now())", "calls now(), whose answer changes by itself"),
        (
            "gain: int? computed dep - arr",
            "gain: int? = 5\n    computed dep - arr",
            "Flight.gain is computed and cannot have a default; leave one of them out",
        ),
        (
            "gain: int? computed dep - arr",
            "gain: int? computed loss + 0\n  loss: int? computed gain - 1",
            "the computed fields gain -> loss -> gain depend on each other in a circle",
        ),
        ("dep - arr", "gain - 1", "the computed fields gain -> gain depend on each other"),
        (
            "gain: int? computed dep - arr",
            "gain: int? stored late + 1\n  late: int? stored arr + 1",
            "is stored and computed from late, which is stored and declared after it; declare late",
        ),
        ("on code\n", "on kode\n", "index 'by_code' of Airport names 'kode', which is not a field"),
        ("on code\n", "on code, code\n", "index 'by_code' of Airport names the field 'code' 2"),
        ("code: text?", "code: json?", "names Airport.code, which is no scalar; only scalars"),
        (
            "  at: timestamp = now",
            "  index i on gain\n  at: date",
            "computed when read; declare",
        ),
        ("by_name on", "by_code on", "Airport names the index 'by_code' 2 times; once is enough"),
        ("alt > -500", "alt + 500", "the result of '+' is an int, not a condition"),
        (
            "alt > -500",
            "alt > name",
            "Airport.alt is an int and cannot be compared with",
        ),
        ("alt > -500", "flights.id == 1", "leaves Airport; only its own fields can be used here"),
        ("check high", 'check ""', "has an empty name"),
        ("(origin_faa)", "(origin)", "relation Flight.origin names 'origin', which is not a field"),
        (
            "(origin_faa)",
            "(dep)",
            "Flight.dep and Airport.faa are of different types; declare",
        ),
        ("(origin_faa)", "(origin_faa, dep)", "has 2 fields for 1 fields of Airport"),
        (
            "-> Airport (faa)",
            "-> Airport (name)",
            "is neither the identity of Airport nor the",
        ),
        ("-> Airport (faa)", "-> Airprt (faa)", "names the entity 'Airprt', which is not"),
        (
            "relation Flight.dest",
            "relation Flight.dep",
            "Flight.dep is declared more than once, as",
        ),
        (
            "inverse arrivals",
            "inverse departures",
            "as the inverse of Flight.origin and as",
        ),
        (
            "inverse departures",
            "inverse one departures",
            "declare a unique index over exactly",
        ),
        ("no action", "cascade\n  not enforced", "on delete cascade is for enforced relations"),
        (
            "no action",
            "restrict\n  deferred\n  not enforced",
            "is deferred, but nothing is",
        ),
        ("no action", "set null", "on delete set null needs Seat.flight_id to be optional"),
        ("through Flight.crews", "through Flight.gain", "Flight.gain is declared more than once"),
        ("over Seat", "over Sea", "names the entity 'Sea', which is not declared"),
        ("from flight to", "from flights to", "Seat has no relation 'flights' for the near side"),
        ("from flight to crew", "from crew to flight", "Seat.crew leads to Crew, not to Flight"),
        ("from flight to crew", "from flight to flight", "goes in and out by the same relation"),
        ("order billing", "order biling", "names 'biling', which is not a field of Seat"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(old: str, new: str, sentence: str) -> None:
    found = problems_of(edited(old, new))
    assert any(sentence in problem for problem in found), found


def test_every_mistake_is_told_at_once_and_each_only_once() -> None:
    text = FLIGHTS.replace("identity faa", "identity iata").replace("dep - arr", "dep - x")
    text = text.replace("-> Crew (id)", "-> Crow (id)").replace("on code", "on kode")
    found = problems_of(bundle_from_text(text))
    assert len(found) == len(set(found))
    about = ("iata", "'x'", "Crow", "kode")
    assert [sum(word in problem for problem in found) for word in about] == [1, 1, 1, 1]


def test_a_foreign_key_may_refer_to_the_fields_of_a_unique_index() -> None:
    validate(edited("(dest_faa) -> Airport (faa)", "(dest_faa) -> Airport (code)"))


def test_an_inverse_to_one_row_needs_a_unique_foreign_key() -> None:
    one = "inverse one departures"
    text = FLIGHTS.replace("inverse departures", one)
    validate(
        bundle_from_text(text.replace("  at: timestamp = now", "  unique index u on origin_faa"))
    )
    with pytest.raises(SchemaError):
        validate(bundle_from_text(text))


def test_names_may_be_anything_on_one_line() -> None:
    for name in ("entity", "a b", 'say "x"', "class", "ﬁ", "\U0001f600", "1", " ", "a.b", "-"):
        field = FieldDef(name=name, type=IntType())
        validate(SchemaBundle(entities=(EntityDef(name=name, fields=(field,), identity=(name,)),)))


def entity(name: str = "E", **changes: Any) -> EntityDef:
    made = EntityDef(name=name, fields=(FieldDef(name="id", type=IntType()),), identity=("id",))
    return replace(made, **changes)


def over_limits(monkeypatch: pytest.MonkeyPatch) -> SchemaBundle:
    monkeypatch.setattr(limits, "ENTITIES_MAX", 1)
    monkeypatch.setattr(limits, "FIELDS_PER_ENTITY_MAX", 0)
    monkeypatch.setattr(limits, "SPACES_MAX", 10)
    return SchemaBundle(entities=(entity("A"), entity("B")))


def test_a_schema_is_bounded_in_entities_fields_and_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems_of(over_limits(monkeypatch))
    assert any("has 2 entities; 1 at most" in problem for problem in found)
    assert any("A has 1 fields; 0 at most" in problem for problem in found)
    assert any("needs 11 spaces" in problem for problem in found)


def chain(count: int, step: Callable[[int], str]) -> str:
    lines = [
        "ormdb schema 1",
        "entity E",
        "  identity id",
        "  id: int",
        "  f0: int computed id + 1",
    ]
    lines += [f"  f{n}: int computed {step(n)}" for n in range(1, count)]
    return "\n".join(lines)


def test_computed_fields_on_computed_fields_are_bounded() -> None:
    validate(bundle_from_text(chain(limits.EXPRESSION_DEPTH_MAX, lambda n: f"f{n - 1} + 1")))
    deep = problems_of(bundle_from_text(chain(900, lambda n: f"f{n - 1} + 1")))
    assert any("computed fields 61 deep" in problem for problem in deep)
    # Each reads all before it: written out, every one is as large as all the others together.
    wide = chain(40, lambda n: " + ".join(f"f{m}" for m in range(n)))
    assert any("parts in all" in problem for problem in problems_of(bundle_from_text(wide)))
    assert problems_of(bundle_from_text(wide.replace("computed id", "computed f39 - id")))


def test_an_expression_without_end_is_refused_and_not_followed() -> None:
    shared: Expr = Not(operand=FieldRef(path=("id",)))
    for _ in range(100):
        shared = Not(operand=shared)
    found = problems_of(
        SchemaBundle(entities=(entity(checks=(CheckDef(name="c", expression=shared),)),))
    )
    assert any("nests deeper than" in problem for problem in found)


def test_texts_that_cannot_be_encoded_are_refused_wherever_they_are() -> None:
    half = "\ud800"
    broken = entity(
        doc=half,
        fields=(
            FieldDef(name="id", type=IntType(), doc=half),
            FieldDef(name=half, type=TextType(), default=LiteralDefault(value=half)),
            FieldDef(name="e", type=EnumType(variants=(half,))),
            FieldDef(name="s", type=StructType(fields=(StructField(name=half, type=IntType()),))),
        ),
    )
    found = problems_of(SchemaBundle(entities=(broken,), doc=half))
    assert len(found) >= 6
    assert all(half not in problem for problem in found)
