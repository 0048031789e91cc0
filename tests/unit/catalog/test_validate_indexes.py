"""Holds which indexes can be declared, and the sentence for every one that cannot."""

from __future__ import annotations

import pytest

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import bundle_hash, normalize
from ormdb.catalog.diff import diff_bundles, format_changes
from ormdb.catalog.text import bundle_from_text, bundle_to_text
from ormdb.catalog.validate import validate
from ormdb.errors import SchemaError
from ormdb.ir.canonical import decode_node, encode_node
from ormdb.ir.schema import SchemaBundle
from ormdb.model.build import build_bundle
from ormdb.model.dynamic import classes_from_bundle

HEAD = """ormdb schema 1

entity Ticket
  identity id
  id: int
  state: enum("open", "closed")
  title: text
  notes: text?
  due: date?
  tags: list(text)
  data: json?
  late: bool? computed due is None
"""
GOOD = """\
  index open_by on due desc, title where state == "open"
  unique index one_open on title where state != "closed" and due is not None
  inverted index by_tags on tags
  inverted index by_data on data where starts_with(title, "x")
  full text index words on title, notes
"""


def declared(indexes: str) -> SchemaBundle:
    return bundle_from_text(HEAD + indexes)


def test_every_kind_of_index_is_declared_written_and_read_back() -> None:
    bundle = declared(GOOD)
    validate(bundle)
    assert bundle_from_text(bundle_to_text(bundle)) == bundle
    assert bundle_to_text(bundle).endswith(GOOD)
    numbered = assign_numbers(normalize(bundle), None)
    assert decode_node(encode_node(numbered)) == numbered
    assert [index.id for index in numbered.entities[0].indexes] == [1, 2, 3, 4, 5]
    classes = list(classes_from_bundle(bundle).values())
    assert bundle_hash(build_bundle(classes)) == bundle_hash(bundle)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("index i on due where gone == 1", "Ticket has no field 'gone'"),
        ("index i on due where title", "Ticket.title is a text, not a condition"),
        ("index i on due where id + 1 > 2", "index 'i' of Ticket calculates, which may fail"),
        ("index i on due where abs(id) > 2", "index 'i' of Ticket calls abs(), which may fail"),
        ("index i on due where due == now()", "cannot be compared"),
        ("index i on due where year(due) == year(now())", "calls now(), which may fail or change"),
        ("index i on due where late", "names Ticket.late, which is computed when read"),
        ("index i on due where ticket.due is None", "leaves Ticket; only its own fields"),
        ("inverted index i on title", "for lists and JSON; Ticket.title is text"),
        ("inverted index i on tags, data", "inverted over 2 fields; declare one for each of them"),
        ("inverted index i on tags desc", "is inverted and has no direction; take desc away"),
        ("inverted index i on gone", "names 'gone', which is not a field of Ticket"),
        ("full text index i on tags", "is full text, which is for texts; Ticket.tags is list"),
        ("full text index i on title, title", "names the field 'title' 2 times"),
    ],
)
def test_an_index_that_cannot_be_kept_is_refused(line: str, sentence: str) -> None:
    with pytest.raises(SchemaError) as caught:
        validate(declared(f"  {line}\n"))
    assert sentence in caught.value.message
    assert len(caught.value.problems) == 1


def test_a_partial_unique_index_is_no_key_for_a_relation() -> None:
    text = HEAD + '  unique index one_open on title where state == "open"\n'
    relation = "\nrelation Ticket.same (notes) -> Ticket (title)\n"
    with pytest.raises(SchemaError, match="neither the identity of Ticket nor the fields of"):
        validate(bundle_from_text(text + relation))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "index i on due",
            'index i on due where title == "x"',
            'index i on due where title == "x"',
        ),
        ("full text index i on title", "full text index i on title, notes", "on title, notes"),
    ],
)
def test_another_condition_is_another_index(before: str, after: str, words: str) -> None:
    old, new = declared(f"  {before}\n"), declared(f"  {after}\n")
    changes = diff_bundles(normalize(old), normalize(new))
    assert [change.touches_rows for change in changes] == [True]
    assert words in format_changes(changes)
    stored = assign_numbers(normalize(old), None)
    again = assign_numbers(normalize(old), stored)
    other = assign_numbers(normalize(new), stored)
    numbers = [bundle.entities[0].indexes[0].id for bundle in (stored, again, other)]
    assert numbers == [1, 1, 2]
