"""Holds every kind of change between two schemas: its words, and whether it touches rows."""

from __future__ import annotations

import pytest

from ormdb.catalog.declared import normalize
from ormdb.catalog.diff import diff_bundles, format_changes
from ormdb.catalog.text import bundle_from_text
from ormdb.ir.schema import SchemaBundle

TEXT = """\
ormdb schema 1

entity Airport
  identity faa
  faa: text
  name: text
  alt: int? = 5
  code: text?
  high: bool? computed alt > 1000
  unique index by_code on code
  check low: alt > -500

entity Flight
  identity id
  id: int
  origin_faa: text
  dest_faa: text?

relation Flight.origin (origin_faa) -> Airport (faa)
  inverse departures
relation Flight.dest (dest_faa) -> Airport (faa)
  not enforced

entity Seat
  identity id
  id: int
  flight: int
  airport: text

relation Seat.of (flight) -> Flight (id)
relation Seat.at (airport) -> Airport (faa)
through Flight.airports -> Airport over Seat from of to at
"""
PLANE = "entity Plane\n  identity tail\n  tail: text\n  seats: int?\n"


def bundle(text: str) -> SchemaBundle:
    return normalize(bundle_from_text(text))


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (TEXT + PLANE, ["+ entity Plane (tail: text, seats: int?)"]),
        (
            TEXT + PLANE + "  f: int\nrelation Plane.last (f) -> Flight (id)\n  inverse planes\n",
            [
                "+ entity Plane (tail: text, seats: int?, f: int)",
                "+ relation Plane.last (f) -> Flight (id)",
            ],
        ),
        (changed("  code: text?", "  tz: text?\n  code: text?"), ["+ field Airport.tz: text?"]),
        (
            changed("  code: text?", "  code: text?\n  tz: text\n    fill 'UTC'"),
            ['+ field Airport.tz: text, filled with "UTC"'],
        ),
        (
            changed("  code: text?", "  code: text?\n  tz: text = 'UTC'"),
            ['+ field Airport.tz: text = "UTC", filled with "UTC"'],
        ),
        (
            changed("  code: text?", "  code: text?\n  tz: text? = 'UTC'"),
            ['+ field Airport.tz: text? = "UTC"'],
        ),
        (
            changed("  code: text?", "  code: text?\n  big: bool? computed alt > 5"),
            ["+ field Airport.big: bool? computed alt > 5"],
        ),
        (
            changed("  dest_faa: text?\n", "  dest_faa: text?\n  via: text?\n")
            + "relation Flight.over (via) -> Airport (faa)\n  inverse passed\n",
            ["+ field Flight.via: text?", "+ relation Flight.over (via) -> Airport (faa)"],
        ),
        (changed("= 5", "= 6"), ["~ default of Airport.alt: 5 -> 6"]),
        (changed(" = 5", ""), ["~ default of Airport.alt: 5 -> none"]),
        (
            changed("= 5", "= expression length(name)"),
            ["~ default of Airport.alt: 5 -> expression length(name)"],
        ),
        (changed("inverse departures", "inverse flights"),
         ["~ inverse of relation Flight.origin: departures -> flights"]),
        (changed("inverse departures", "inverse departures\n  deferred"),
         ["~ relation Flight.origin is checked when the transaction ends now"]),
        (changed("unique index by_code", "unique deferred index by_code"),
         [("~ index Airport.by_code: unique index by_code on code -> "
           "unique deferred index by_code on code")]),
        (changed("  inverse departures\n", ""),
         ["~ inverse of relation Flight.origin: departures -> none"]),
        (changed("through Flight.airports", "through Flight.ports"),
         ["- through Flight.airports -> Airport over Seat from of to at",
          "+ through Flight.ports -> Airport over Seat from of to at"]),
        (TEXT + "  order id desc\n",
         ["~ order of through Flight.airports -> Airport over Seat from of to at"]),
        (changed("  faa: text\n  name: text", "  name: text\n  faa: text"),
         ["~ order of the fields of Airport"]),
        (changed("entity Airport", 'doc "All."\nentity Airport'), ["~ doc of the schema"]),
        (changed("entity Airport", 'entity Airport\n  doc "A."'), ["~ doc of Airport"]),
        (changed("  name: text", '  name: text\n    doc "A."'), ["~ doc of Airport.name"]),
        (changed("  inverse departures", '  inverse departures\n  doc "A."'),
         ["~ doc of relation Flight.origin"]),
        (TEXT + '  doc "A."\n',
         ["~ doc of through Flight.airports -> Airport over Seat from of to at"]),
    ],
)  # fmt: skip
def test_a_change_that_touches_no_row_is_told_as_such(new: str, lines: list[str]) -> None:
    changes = diff_bundles(bundle(TEXT), bundle(new))
    assert [str(change) for change in changes] == lines
    assert not any(change.touches_rows for change in changes)


@pytest.mark.parametrize(
    ("new", "line"),
    [
        (changed("  code: text?", "  code: text?\n  tz: text"), "+ field Airport.tz: text"),
        (changed("  code: text?", "  code: text?\n  tz: timestamp = now"),
         "+ field Airport.tz: timestamp = now"),
        (changed("  code: text?", "  code: text?\n  n: int? = sequence"),
         "+ field Airport.n: int? = sequence"),
        (changed("  code: text?", "  code: text?\n  big: bool? stored alt > 5"),
         "+ field Airport.big: bool? stored alt > 5"),
        (changed("  name: text\n", ""), "- field Airport.name"),
        (changed("name: text", "name: text?"), "~ Airport.name is optional now"),
        (changed("dest_faa: text?", "dest_faa: text"), "~ Flight.dest_faa is required now"),
        (changed("name: text", "name: text(40)"), "~ type of Airport.name: text -> text(40)"),
        (changed("alt: int? = 5", "alt: int? = sequence"),
         "~ default of Airport.alt: 5 -> sequence"),
        (changed("name: text", "name: text\n    fill 'x'"), '~ fill of Airport.name: None -> "x"'),
        (changed("alt > 1000", "alt > 2000"),
         "~ computation of Airport.high: computed alt > 1000 -> computed alt > 2000"),
        (changed(" computed alt > 1000", ""),
         "~ computation of Airport.high: computed alt > 1000 -> plain"),
        (changed("identity faa", "identity name"), "~ identity of Airport: (faa) -> (name)"),
        (changed("on code", "on code desc"),
         ("~ index Airport.by_code: unique index by_code on code -> "
          "unique index by_code on code desc")),
        (changed("  unique index by_code on code\n", ""), "- index Airport.by_code"),
        (changed("  check low", "  index i on name\n  check low"),
         "+ index i on name of Airport"),
        (changed("  check low: alt > -500\n", ""), "- check Airport.low"),
        (changed("alt > -500", "alt > -5"), "~ check Airport.low: alt > -500 -> alt > -5"),
        (changed("  check low", "  check a: alt < 9\n  check low"), "+ check Airport.a: alt < 9"),
        (changed("relation Flight.dest (dest_faa) -> Airport (faa)\n  not enforced\n", ""),
         "- relation Flight.dest"),
        (TEXT + "relation Flight.x (id) -> Flight (id)\n",
         "+ relation Flight.x (id) -> Flight (id)"),
        (TEXT + "relation Flight.x (dest_faa) -> Airport (faa)\n  not enforced\n",
         "+ relation Flight.x (dest_faa) -> Airport (faa)"),
        (changed("relation Seat.of (flight)", "relation Seat.of (id)"),
         "~ relation Seat.of (flight) -> Flight (id) -> relation Seat.of (id) -> Flight (id)"),
        (changed("  not enforced\n", ""), "~ relation Flight.dest is enforced now"),
        (changed("inverse departures", "inverse departures\n  not enforced"),
         "~ relation Flight.origin is not enforced now"),
        (changed("  not enforced", "  not enforced\n  inverse arrivals"),
         "~ inverse of relation Flight.dest: none -> arrivals"),
        (changed("inverse departures", "inverse departures\n  on delete no action"),
         "~ on delete of relation Flight.origin: restrict -> no action"),
        (changed("inverse departures", "inverse departures\n  on delete cascade"),
         "~ on delete of relation Flight.origin: restrict -> cascade"),
        (changed("inverse departures", "inverse one departures"),
         "~ inverse of relation Flight.origin leads to one row now"),
    ],
)  # fmt: skip
def test_a_change_that_touches_rows_is_told_as_such(new: str, line: str) -> None:
    changes = diff_bundles(bundle(TEXT), bundle(new))
    assert line in [str(change) for change in changes if change.touches_rows]


def test_a_dropped_entity_takes_its_relations_with_it() -> None:
    without = TEXT[: TEXT.index("entity Seat")]
    changes = diff_bundles(bundle(TEXT), bundle(without))
    assert [str(change) for change in changes] == [
        "- entity Seat",
        "- through Flight.airports -> Airport over Seat from of to at",
    ]


def test_a_relation_over_a_new_field_touches_rows_where_old_rows_have_a_value() -> None:
    relation = "relation Flight.over (via) -> Airport (faa)\n"
    for field in (
        "via: text = 'JFK'",
        "via: text?\n    fill 'JFK'",
        "via: text? computed dest_faa",
    ):
        new = changed("  dest_faa: text?\n", f"  dest_faa: text?\n  {field}\n") + relation
        heavy = [str(c) for c in diff_bundles(bundle(TEXT), bundle(new)) if c.touches_rows]
        assert heavy == ["+ relation Flight.over (via) -> Airport (faa)"]


def test_literals_that_are_equal_but_of_other_classes_are_a_change() -> None:
    old = changed("code: text?", "code: text?\n  more: json? = {'a': 1}")
    for value in ("{'a': 1.0}", "{'a': True}"):
        new = changed("code: text?", f"code: text?\n  more: json? = {value}")
        assert len(diff_bundles(bundle(old), bundle(new))) == 1


def test_the_changes_are_listed_with_those_that_touch_rows_last() -> None:
    new = changed("  name: text\n", "  tz: text?\n")
    assert format_changes(diff_bundles(bundle(TEXT), bundle(new))) == (
        "+ field Airport.tz: text?\nthese touch rows:\n- field Airport.name"
    )
    assert format_changes(()) == "no changes"
