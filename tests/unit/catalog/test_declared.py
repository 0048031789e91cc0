"""Holds what a declaration is apart from its numbers, and when two declare the same schema."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import bundle_hash, normalize, own_fields, strip_numbers
from ormdb.catalog.text import bundle_from_text, bundle_to_text
from ormdb.errors import QueryError
from ormdb.ir.schema import SchemaBundle
from ormdb.ir.value import IntType

TEXT = """\
ormdb schema 1

entity Movie
  identity id
  id: int
  born: date? = "1970-01-01"
    fill "1969-01-01"
  price: decimal(5, 2) = 1.5
  rate: float = 1
  next: date? = expression coalesce(born, "2000-01-01")
  cheap: bool? computed price < 1.10
  unique index one on born, rate
  index two on price
  check a: price > 0
  check b: born > "1900-01-01"

entity Cast
  identity movie, role
  movie: int
  role: text

relation Cast.of (movie) -> Movie (id)
"""


def bundle() -> SchemaBundle:
    return bundle_from_text(TEXT)


def test_literals_take_the_form_of_their_field() -> None:
    text = bundle_to_text(normalize(bundle()))
    for line in (
        '  born: date? = date("1970-01-01")',
        '    fill date("1969-01-01")',
        '  price: decimal(5, 2) = decimal("1.50")',
        "  rate: float = 1.0",
        '  next: date? = expression coalesce(born, date("2000-01-01"))',
        '  cheap: bool? computed price < decimal("1.1")',
        '  check a: price > decimal("0")',
        '  check b: born > date("1900-01-01")',
    ):
        assert line in text.splitlines()
    assert normalize(normalize(bundle())) == normalize(bundle())


def test_numbers_are_no_part_of_what_is_declared() -> None:
    declared = normalize(bundle())
    numbered = replace(assign_numbers(declared, None), version=7)
    assert numbered != declared
    assert strip_numbers(numbered) == declared
    assert bundle_hash(numbered) == bundle_hash(declared)


def test_the_order_of_listing_is_no_part_of_the_hash_but_that_of_fields_is() -> None:
    made = bundle()
    movie, cast = made.entities
    mixed = replace(movie, indexes=movie.indexes[::-1], checks=movie.checks[::-1])
    assert bundle_hash(replace(made, entities=(cast, mixed))) == bundle_hash(made)
    turned = replace(movie, fields=movie.fields[::-1])
    assert bundle_hash(replace(made, entities=(turned, cast))) != bundle_hash(made)


def test_anything_else_changes_the_hash() -> None:
    seen = {bundle_hash(bundle())}
    for old, new in (
        ("rate: float = 1", "rate: float = 2"),
        ("rate: float = 1", "rate: float"),
        ("rate: float = 1", "rate: float? = 1"),
        ("price > 0", "price > 1"),
        ("unique index one", "index one"),
        ("on price", "on price desc"),
        ("identity movie, role", "identity role, movie"),
        ('    fill "1969-01-01"\n', ""),
        ("computed price", "stored price"),
        ("Cast.of", "Cast.film"),
        ("-> Movie (id)\n", "-> Movie (id)\n  inverse casts\n"),
        ("-> Movie (id)\n", "-> Movie (id)\n  not enforced\n"),
        ("-> Movie (id)\n", "-> Movie (id)\n  on delete no action\n"),
        ("entity Cast\n", 'entity Cast\n  doc "Who plays."\n'),
    ):
        assert TEXT.count(old) == 1
        seen.add(bundle_hash(bundle_from_text(TEXT.replace(old, new))))
    assert len(seen) == 15


def test_paths_of_own_fields_resolve_and_all_others_are_refused() -> None:
    resolve = own_fields(bundle().entities[0])
    found = resolve(("id",))
    assert (found.name, found.type, found.optional) == ("Movie.id", IntType(), False)
    with pytest.raises(QueryError, match=r"Movie has no field 'ids'; it has id, born"):
        resolve(("ids",))
    with pytest.raises(QueryError, match=r"casts\.role leaves Movie; only its own fields"):
        resolve(("casts", "role"))
