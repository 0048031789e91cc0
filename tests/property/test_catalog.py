"""Holds that schemas survive text, numbering, storing and every series of changes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ormdb.catalog.assign import NumberMarks, assign_numbers, marks_after, settle_fills
from ormdb.catalog.declared import bundle_hash, normalize, strip_numbers
from ormdb.catalog.diff import diff_bundles, format_changes
from ormdb.catalog.mermaid import bundle_to_mermaid
from ormdb.catalog.registry import list_versions, load_bundle, store_bundle
from ormdb.catalog.text import bundle_from_text, bundle_to_text
from ormdb.catalog.validate import validate
from ormdb.errors import SchemaError
from ormdb.ir.canonical import encode_node
from ormdb.ir.schema import UNASSIGNED, SchemaBundle
from ormdb.storage.layout import Layout
from ormdb.storage.memory import MemoryEngine
from ormdb.testing.schema_strategies import bundles

FEW = settings(max_examples=40)


@FEW
@given(bundles())
def test_a_bundle_reads_back_from_its_text(bundle: SchemaBundle) -> None:
    text = bundle_to_text(bundle)
    again = bundle_from_text(text)
    assert again == bundle
    assert encode_node(again) == encode_node(bundle)
    assert bundle_to_text(again) == text


@FEW
@given(bundles())
def test_a_stored_bundle_is_laid_out_and_loses_only_its_numbers(bundle: SchemaBundle) -> None:
    stored = assign_numbers(normalize(bundle), None)
    Layout(stored)
    assert bundle_from_text(bundle_to_text(stored)) == strip_numbers(stored)
    assert bundle_hash(stored) == bundle_hash(normalize(bundle))


@FEW
@given(bundles())
def test_normalizing_twice_is_normalizing_once(bundle: SchemaBundle) -> None:
    once = normalize(bundle)
    validate(once)
    assert encode_node(normalize(once)) == encode_node(once)


@FEW
@given(bundles(odd=False), bundles(odd=False))
def test_a_diff_is_empty_exactly_when_the_hashes_are_equal(
    old: SchemaBundle, new: SchemaBundle
) -> None:
    old, new = normalize(old), normalize(new)
    assert diff_bundles(old, old) == ()
    for one, other in ((old, new), (new, old)):
        changes = diff_bundles(one, other)
        # A fill that is not declared is the one that is stored.
        same = bundle_hash(one) == bundle_hash(settle_fills(other, one))
        assert (not changes) == same
        assert len(format_changes(changes).splitlines()) >= len(changes)


@FEW
@given(bundles())
def test_the_order_of_listing_is_no_difference(bundle: SchemaBundle) -> None:
    mixed = replace(
        bundle,
        entities=bundle.entities[::-1],
        relations=bundle.relations[::-1],
        throughs=bundle.throughs[::-1],
    )
    assert diff_bundles(bundle, mixed) == ()
    assert bundle_hash(bundle) == bundle_hash(mixed)


def meanings(bundle: SchemaBundle) -> dict[tuple[object, ...], object]:
    """What each number of a bundle stands for."""
    entities = {entity.name: entity for entity in bundle.entities}
    found: dict[tuple[object, ...], object] = {}
    for entity in bundle.entities:
        found["entity", entity.id] = entity.name
        slots = {field.name: field.slot for field in entity.fields}
        for field in entity.fields:
            if field.slot != UNASSIGNED:
                found["slot", entity.id, field.slot] = (field.name, field.type)
        for index in entity.indexes:
            columns = tuple((slots[c.field], c.descending) for c in index.fields)
            found["index", index.id] = (entity.id, columns, index.unique)
    for relation in bundle.relations:
        source, target = entities[relation.source], entities[relation.target]
        ends = (source.id, relation.fields, target.id, relation.target_fields, relation.enforced)
        found["relation", relation.id] = (relation.name, ends)
        if relation.slot != UNASSIGNED:
            found["slot", source.id, relation.slot] = ("relation", relation.id)
    return found


@FEW
@given(st.lists(bundles(odd=False), min_size=2, max_size=5))
def test_a_number_never_means_two_things_over_any_series_of_versions(
    versions: list[SchemaBundle],
) -> None:
    marks, stored, ever = NumberMarks(), None, dict[tuple[object, ...], object]()
    for declared in versions:
        before = stored
        stored = assign_numbers(normalize(declared), before, marks)
        marks = marks_after(marks, stored)
        for number, meaning in meanings(stored).items():
            assert ever.setdefault(number, meaning) == meaning
        assert assign_numbers(normalize(declared), stored, marks) == stored


@FEW
@given(st.lists(bundles(), min_size=1, max_size=3))
def test_every_version_is_loaded_as_it_was_stored(versions: list[SchemaBundle]) -> None:
    engine = MemoryEngine()
    stored: list[SchemaBundle] = []
    for number, bundle in enumerate(versions):
        txn = engine.begin_write()
        stored.append(store_bundle(txn, bundle, wall_us=number, note=f"version {number}"))
        txn.commit()
    reader = engine.begin_read()
    assert [record.version for record in list_versions(reader)] == [b.version for b in stored]
    for bundle in stored:
        assert load_bundle(reader, bundle.version) == bundle


@FEW
@given(bundles())
def test_a_diagram_has_a_line_for_every_field_and_relation(bundle: SchemaBundle) -> None:
    lines = bundle_to_mermaid(bundle).splitlines()
    fields = sum(len(entity.fields) + 2 for entity in bundle.entities)
    assert len(lines) == 1 + fields + len(bundle.relations) + len(bundle.throughs)


SCHEMA_WORDS = (
    "entity relation through doc identity index unique check inverse one on delete not enforced "
    'fill computed stored = ? : , ( ) -> . "a b" a b int text(3) enum("x") 5 # now expression'
)


@given(st.lists(st.sampled_from([*SCHEMA_WORDS.split(" "), "\n", "\n  ", "\n    "]), max_size=40))
def test_any_text_ends_in_a_bundle_or_in_one_schema_error(words: list[str]) -> None:
    text = "ormdb schema 1\n" + " ".join(words)
    try:
        bundle = bundle_from_text(text)
    except SchemaError as error:
        assert all(problem.startswith("line ") for problem in error.details["problems"])  # noqa: PT017
        return
    assert isinstance(bundle, SchemaBundle)


@FEW
@given(bundles(), st.data())
def test_a_damaged_text_is_read_or_refused_by_line(
    bundle: SchemaBundle, data: st.DataObject
) -> None:
    text = bundle_to_text(bundle)
    at = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(at, min(len(text), at + 20)))
    damaged = text[:at] + data.draw(st.text(max_size=3)) + text[end:]
    try:
        bundle_from_text(damaged)
    except SchemaError as error:
        assert error.details["problems"]  # noqa: PT017
