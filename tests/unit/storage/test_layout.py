"""Where a schema lies: nothing shares a space or a slot, and every direction has its key."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from ormdb.catalog.assign import assign_numbers
from ormdb.catalog.declared import normalize
from ormdb.ir.schema import UNASSIGNED, SchemaBundle
from ormdb.storage.keys import row_key
from ormdb.storage.layout import CATALOG, CHANGES, META, IndexLayout, Layout
from ormdb.storage.records import is_stored
from ormdb.testing.schema_strategies import bundles
from tests.oracle.club import CLUB, NUMBERED

LAYOUT = Layout(NUMBERED)


def numbered(bundle: SchemaBundle) -> SchemaBundle:
    return assign_numbers(normalize(bundle), None)


def relation(name: str) -> Any:
    return next(r for r in LAYOUT.relations.values() if r.name == name)


def index_of(entity: str, name: str) -> IndexLayout:
    return next(i for i in LAYOUT.entities[entity].indexes if i.name == name)


def spaces_of(layout: Layout) -> list[str]:
    names = [META.name, CATALOG.name, CHANGES.name]
    for entity in layout.entities.values():
        names += [entity.rows.name, entity.history.name]
        for index in entity.maintained():
            names += [index.space.name, index.history.name]
    return names


@settings(max_examples=60)
@given(bundles())
def test_no_two_things_of_a_bundle_share_a_space_or_a_slot(declared: SchemaBundle) -> None:
    bundle = numbered(declared)
    layout = Layout(bundle)
    repeated = {name: n for name, n in Counter(spaces_of(layout)).items() if n > 1}
    assert not repeated
    for entity in layout.entities.values():
        slots = [part.slot for part in entity.entity.fields if is_stored(part)]
        slots += [r.relation.slot for r in entity.outgoing if r.relation.slot != UNASSIGNED]
        assert len(set(slots)) == len(slots)
        assert max(slots) < entity.codec.slot_count


def test_a_single_int_identity_is_the_row_key_and_has_no_index() -> None:
    member, node = LAYOUT.entities["Member"], LAYOUT.entities["Node"]
    assert member.identity is None
    assert member.int_identity_slot == member.fields["id"].slot
    assert node.identity is not None
    assert node.identity.unique
    assert node.int_identity_slot is None


@pytest.mark.parametrize(
    ("name", "mode", "hidden"),
    [
        ("mentor", "int", False),
        ("by", "int", False),
        ("town", "slot", True),
        ("plot", "slot", True),
        ("parent", "slot", True),
        ("idol", "value", False),
    ],
)
def test_a_relation_is_followed_by_number_or_by_value(name: str, mode: str, hidden: bool) -> None:
    found = relation(name)
    assert found.mode == mode
    assert (found.relation.slot != UNASSIGNED) == hidden
    assert found.index is not None


def test_a_relation_finds_targets_by_identity_or_by_the_unique_index() -> None:
    assert relation("mentor").target_lookup is None
    assert relation("town").target_lookup is LAYOUT.entities["Town"].identity
    assert relation("plot").target_lookup is index_of("Town", "plots")
    assert relation("idol").target_lookup is LAYOUT.entities["Idol"].identity


def test_what_is_kept_in_step_with_a_row_is_every_index_identity_and_relation() -> None:
    names = {name: {index.name for index in kept} for name, kept in LAYOUT.kept.items()}
    assert names["Town"] == {"plots", "by_size", "identity of Town"}
    assert names["Member"] == {
        *("emails", "one_per_plot", "by_points", "by_rank", "by_double"),
        *("one_board", "rich", "words"),
        *("Member.town", "Member.plot", "Member.mentor", "Member.idol"),
    }


def test_both_ends_of_a_relation_know_it() -> None:
    town, member = LAYOUT.entities["Town"], LAYOUT.entities["Member"]
    assert relation("town") in member.outgoing
    assert relation("town") in town.incoming
    assert LAYOUT.inverses["Town", "settlers"] is relation("plot")
    assert LAYOUT.inverses["Member", "pupils"] is relation("mentor")


def test_an_unenforced_relation_without_inverse_has_no_space() -> None:
    plain = next(r for r in CLUB.relations if r.name == "idol")
    alone = replace(plain, inverse=None)
    bundle = SchemaBundle(entities=CLUB.entities, relations=(alone,))
    layout = Layout(numbered(bundle))
    assert layout.relations["Member", "idol"].index is None


# --- directions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "name", "flipped", "stored"),
    [
        ("Member", "by_points", False, [False]),
        ("Member", "by_rank", True, [True, False]),
        ("Member", "by_double", False, [True, False]),
        ("Town", "by_size", True, [False]),
        ("Node", "by_label", True, [True, False]),
    ],
)
def test_the_last_column_of_an_index_is_stored_ascending(
    entity: str, name: str, flipped: bool, stored: list[bool]
) -> None:
    index = index_of(entity, name)
    assert index.flipped == flipped
    assert [column.descending for column in index.columns] == stored


def test_the_key_of_a_row_is_the_key_of_its_values() -> None:
    member = LAYOUT.entities["Member"]
    slots: list[Any] = [None] * member.codec.slot_count
    slots[member.fields["id"].slot] = 3
    slots[member.fields["rank"].slot] = 2
    slots[member.fields["points"].slot] = 40
    row = member.codec.Row(1, *slots)
    assert index_of("Member", "by_rank").encode_rows([row]) == [
        index_of("Member", "by_rank").encode_values([2, 40])
    ]


def test_a_row_with_a_null_in_its_foreign_key_has_no_entry() -> None:
    member = LAYOUT.entities["Member"]
    rows: list[Any] = []
    for idol, town in ((None, None), ("x", 7), (None, 8)):
        slots: list[Any] = [None] * member.codec.slot_count
        slots[member.fields["idol_name"].slot] = idol
        slots[relation("town").relation.slot] = town
        rows.append(member.codec.Row(1, *slots))
    idols = relation("idol").index.encode_rows(rows)
    assert [key is None for key in idols] == [True, False, True]
    assert relation("town").index.encode_rows(rows) == [None, row_key(7), row_key(8)]
