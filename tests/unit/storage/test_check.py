"""The check finds nothing in what was written, and something in whatever was tampered with."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator

import pytest

from ormdb import limits
from ormdb.errors import CorruptionError
from ormdb.ir.mutation import Delete, Insert, Update
from ormdb.storage.changelog import log_key
from ormdb.storage.check import check
from ormdb.storage.engine import Item, Space
from ormdb.storage.findings import CheckReport, Findings
from ormdb.storage.head import read_head, write_counters, write_head
from ormdb.storage.layout import CATALOG, CHANGES, META
from ormdb.storage.reclaim import reclaim_step
from tests.oracle.store import Store

PER_SPACE = 5


@pytest.fixture
def filled(store: Store) -> Store:
    """Rows, history, every relation and every index in use; a horizon above the first commit."""
    towns = [("A", "n", 1), ("B", "n", 2), ("C", "s", None), ("D", "s", None)]
    store.insert("Town", *({"code": c, "zone": z, "lot": lot, "size": 9} for c, z, lot in towns))
    store.insert(
        "Member",
        *(
            {
                "email": f"m{i}" if i % 3 else None,
                "points": i // 2,
                "rank": ("new", "full", None)[i % 3],
                "town_code": "ABCD"[i % 4],
                "zone": "n" if i % 2 else None,
                "lot": {1: 1, 3: 1, 5: 1, 9: 2}.get(i),
                "mentor_id": 1 if i > 5 else None,
                "idol_name": ("x", "y", None)[i % 3],
            }
            for i in range(12)
        ),
    )
    store.insert("Idol", {"name": "x"}, {"name": "z"})
    store.insert("Node", {"path": "r", "part": 1}, {"path": "r", "part": 2, "label": "b"})
    store.update("Member", 2, points=500)
    store.update("Member", 3, email="gone", idol_name="z")
    reclaim(store, store.head.version - 1)
    store.commit(
        Insert(entity="Node", rows=({"path": "s", "part": 1, "up_path": "r", "up_part": 2},)),
        Update(entity="Member", identity=(2,), changes={"points": 7, "town_code": "B"}),
        Update(entity="Member", identity=(2,), changes={"rank": "board"}),
        Delete(entity="Member", identities=((12,),)),
        Update(entity="Node", identity=("r", 2), changes={"label": "c"}),
    )
    store.insert("Member", {"id": 12, "points": 3, "zone": "n", "lot": 2})
    store.update("Town", "D", size=None)
    store.update("Idol", "z", fans=2)
    store.delete("Idol", ("x",))
    store.insert("Note", {"id": uuid.UUID(int=5), "member_id": 2, "text": "hi"})
    return store


def reclaim(store: Store, target: int) -> None:
    with store.writing() as txn:
        head = read_head(txn)
        assert head is not None
        horizon = reclaim_step(
            txn, store.layout, horizon=head.horizon, target=target, commits_max=1_000
        )
        write_head(txn, dataclasses.replace(head, horizon=horizon))


def spaces(store: Store) -> Iterator[Space]:
    """Every space but the catalog, which this store has none of."""
    yield from (META, CHANGES)
    for entity in store.layout.entities.values():
        yield from (entity.rows, entity.history)
        for index in entity.maintained():
            yield from (index.space, index.history)


def chosen(store: Store) -> Iterator[tuple[Space, Item]]:
    """A few items of every space, from its beginning to its end."""
    for space in spaces(store):
        items = store.items(space)
        step = max(1, len(items) // PER_SPACE)
        yield from ((space, item) for item in items[::step])


def replace_item(store: Store, space: Space, old: Item | None, new: Item | None) -> None:
    with store.writing() as txn:
        if old is not None and space.duplicate_bytes:
            assert txn.delete_items(space, [old]) == 1
        elif old is not None:
            assert txn.delete_many(space, [old[0]]) == 1
        if new is not None:
            txn.put_many(space, [new])


def flipped(data: bytes, bit: int) -> bytes:
    number = bit // 8 % len(data)
    return data[:number] + bytes((data[number] ^ 1 << bit % 8,)) + data[number + 1 :]


def test_a_store_that_was_only_written_to_has_no_problem(filled: Store) -> None:
    report = filled.check(deep=True)
    assert report.problems == ()
    assert report.is_clean
    assert report.version == filled.head.version
    assert report.counts.rows == 4 + 12 + 1 + 3 + 1
    assert report.counts.history_rows > 4
    assert report.counts.history_entries > 4
    assert report.counts.commits == filled.head.version - filled.head.horizon + 1
    assert filled.check(deep=False).is_clean


def test_every_space_of_the_tampering_tests_holds_something(filled: Store) -> None:
    empty = [space.name for space in spaces(filled) if not filled.items(space)]
    assert not [name for name in empty if "history" not in name]
    held = {space.name.partition("/")[0] for space in spaces(filled)}
    assert {"history", "identity_history", "index_history", "relation_history"} <= held


def test_whatever_item_is_taken_away_is_a_problem(filled: Store) -> None:
    tampered = 0
    for space, item in chosen(filled):
        replace_item(filled, space, item, None)
        assert not filled.check().is_clean, (space, item)
        replace_item(filled, space, None, item)
        tampered += 1
    assert tampered > 60
    assert filled.check().is_clean


@pytest.mark.parametrize("bit", [0, 7, 37])
def test_whatever_value_is_changed_is_a_problem(filled: Store, bit: int) -> None:
    for space, item in chosen(filled):
        changed = (item[0], flipped(item[1], bit))
        if changed in filled.items(space):
            continue
        replace_item(filled, space, item, changed)
        assert not filled.check().is_clean, (space, item)
        replace_item(filled, space, changed, item)
    assert filled.check().is_clean


@pytest.mark.parametrize("bit", [3, 60])
def test_whatever_key_is_changed_is_a_problem(filled: Store, bit: int) -> None:
    for space, item in chosen(filled):
        changed = (flipped(item[0], bit), item[1])
        if any(changed[0] == key for key, _ in filled.items(space)):
            continue
        replace_item(filled, space, item, changed)
        assert not filled.check().is_clean, (space, item)
        replace_item(filled, space, changed, item)
    assert filled.check().is_clean


def test_whatever_item_is_repeated_under_another_key_is_a_problem(filled: Store) -> None:
    for space, item in chosen(filled):
        added = (item[0] + b"\0", item[1])
        replace_item(filled, space, None, added)
        assert not filled.check().is_clean, (space, item)
        replace_item(filled, space, added, None)
    assert filled.check().is_clean


def test_a_space_of_nothing_in_the_schema_is_a_problem_of_a_shallow_check(filled: Store) -> None:
    replace_item(filled, Space("rows/77"), None, (b"k", b"v"))
    problems = filled.check(deep=False).problems
    assert [problem.kind for problem in problems] == ["space"]
    assert "rows/77" in problems[0].sentence


def test_the_catalog_is_a_space_that_is_known(filled: Store) -> None:
    replace_item(filled, CATALOG, None, (bytes(8), b"a bundle"))
    assert filled.check().is_clean


def kinds(report: CheckReport) -> set[str]:
    return {problem.kind for problem in report.problems}


def put_rows(store: Store, entity: str, change: Callable[[object], None]) -> None:
    """Rewrite every row of an entity, sealed anew, leaving everything else as it is."""
    layout = store.entity(entity)
    items = store.items(layout.rows)
    keys = [key for key, _ in items]
    names = [f"s{slot}" for slot in range(layout.codec.slot_count)]
    rows: list[object] = []
    for row in layout.codec.whole.decode_batch(keys, [data for _, data in items]):
        again = layout.codec.Row(row.b, *(getattr(row, name) for name in names))
        change(again)
        rows.append(again)
    with store.writing() as txn:
        txn.put_many(layout.rows, zip(keys, layout.codec.seal(rows, keys), strict=True))


def slot_of(store: Store, entity: str, name: str) -> str:
    return f"s{store.entity(entity).fields[name].slot}"


def test_a_foreign_key_without_its_target_is_a_problem_of_its_relation(filled: Store) -> None:
    town = filled.entity("Town")
    key = filled.items(town.rows)[0][0]
    with filled.writing() as txn:
        txn.delete_many(town.rows, [key])
    report = filled.check()
    assert "relation" in kinds(report)
    assert any("Town" in p.sentence for p in report.problems if p.kind == "relation")


def test_a_dangling_value_of_an_unenforced_relation_is_no_problem(filled: Store) -> None:
    filled.insert("Member", {"idol_name": "nobody"})
    assert filled.check().is_clean


def test_a_target_of_other_values_is_a_problem_of_its_relation(filled: Store) -> None:
    name = slot_of(filled, "Member", "town_code")
    put_rows(filled, "Member", lambda row: setattr(row, name, "A"))
    assert "relation" in kinds(filled.check())


def test_a_required_field_without_value_is_a_problem(filled: Store) -> None:
    name = slot_of(filled, "Member", "points")
    put_rows(filled, "Member", lambda row: setattr(row, name, None))
    assert "row" in kinds(filled.check())


def test_values_that_repeat_in_a_unique_index_are_a_problem(filled: Store) -> None:
    member = filled.entity("Member")
    emails = next(index for index in member.indexes if index.name == "emails")
    name = slot_of(filled, "Member", "email")
    put_rows(filled, "Member", lambda row: setattr(row, name, "same"))
    with filled.writing() as txn:
        old = [item for batch in txn.scan(emails.space) for item in batch]
        txn.delete_items(emails.space, old)
        key = emails.encode_values(["same"])
        txn.put_many(emails.space, [(key, row_key) for row_key, _ in filled.items(member.rows)])
    found = [problem for problem in filled.check().problems if problem.kind == "unique"]
    assert len(found) == 11


def test_nulls_in_a_unique_index_are_no_problem(filled: Store) -> None:
    filled.insert("Member", {"email": None}, {"email": None})
    assert filled.check().is_clean


def test_a_counter_behind_its_numbers_is_a_problem(filled: Store) -> None:
    town, note = filled.entity("Town"), filled.entity("Member")
    for counter in (f"row/{town.entity.id}", f"sequence/{note.entity.id}/0"):
        with filled.writing() as txn:
            write_counters(txn, {counter: 3})
        assert kinds(filled.check()) == {"counter"}
        with filled.writing() as txn:
            write_counters(txn, {counter: 1_000})


def test_a_row_number_counter_behind_is_found_by_a_shallow_check(filled: Store) -> None:
    with filled.writing() as txn:
        write_counters(txn, {f"row/{filled.entity('Town').entity.id}": 1})
    assert kinds(filled.check(deep=False)) == {"counter"}


def test_a_gap_in_the_log_is_found_by_a_shallow_check(filled: Store) -> None:
    head = filled.head
    for version in range(head.horizon, head.version + 1):
        item = next(i for i in filled.items(CHANGES) if i[0] == log_key(version))
        replace_item(filled, CHANGES, item, None)
        assert kinds(filled.check(deep=False)) == {"log"}, version
        replace_item(filled, CHANGES, None, item)


def test_a_lost_head_is_a_problem_and_not_an_exception(filled: Store) -> None:
    with filled.writing() as txn:
        txn.delete_many(META, [b"head"])
    assert kinds(filled.check()) == {"head"}


def test_damage_that_ends_one_section_lets_the_others_go_on() -> None:
    findings = Findings()
    with findings.section("row", "Town", "rows/1"):
        raise CorruptionError("the page is gone")
    findings.add("log", None, "changes", "another")
    report = findings.report(deep=True, version=3)
    assert [problem.sentence for problem in report.problems] == ["the page is gone", "another"]


def test_problems_beyond_the_limit_are_counted() -> None:
    findings = Findings()
    for number in range(limits.CHECK_PROBLEMS_MAX + 5):
        findings.add("row", None, str(number), "broken")
    report = findings.report(deep=True, version=1)
    assert len(report.problems) == limits.CHECK_PROBLEMS_MAX
    assert report.more == 5


def test_a_schema_version_that_the_head_does_not_name_is_a_problem(filled: Store) -> None:
    head = dataclasses.replace(filled.head, schema_version=9)
    with filled.writing() as txn:
        write_head(txn, head)
        assert kinds(check(txn, filled.layout, deep=False)) == {"head"}
