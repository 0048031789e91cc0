"""Reading, by every sentence of the engine contract: snapshots, order, batches, spaces."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ormdb import limits
from ormdb.errors import ClosedError, UsageError
from ormdb.storage.engine import Item, ReadTransaction, Space
from ormdb.storage.lmdb.engine import LmdbEngine
from tests.conformance.engines import (
    INDEX,
    NUMBERS,
    RELATED,
    ROWS,
    WIDE,
    Place,
    every_read,
    everything,
    key,
)

# --- 1. snapshots ---------------------------------------------------------------------------


def test_a_snapshot_keeps_seeing_what_was_committed_before_it(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    with place.reading() as before:
        with place.writing() as txn:
            txn.delete_many(ROWS, [key(1)])
            txn.put_many(ROWS, [(key(2), b"changed"), (key(999), b"new")])
            txn.delete_many(INDEX, [key(3)])
            txn.put_many(WIDE, [(b"a", b"x" * 16)])
        assert before.get_many(ROWS, [key(1), key(2), key(999)]) == [b"row 1", b"row 2", None]
        assert everything(before, ROWS) == NUMBERS
        assert everything(before, INDEX) == RELATED
        assert before.many(WIDE, [b"a"]) == [b""]
        assert before.space_names() == ["index/1", "rows/1"]
    with place.reading() as after:
        assert after.get_many(ROWS, [key(1), key(2), key(999)]) == [None, b"changed", b"new"]
        assert after.count_many(INDEX, [key(3)]) == [0]
        assert after.many(WIDE, [b"a"]) == [b"x" * 16]


def test_a_snapshot_keeps_a_space_that_was_dropped_after_it_began(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    with place.reading() as before:
        with place.writing() as txn:
            txn.drop_space(ROWS)
            txn.put_many(ROWS, [(b"another", b"life")])
        assert everything(before, ROWS) == NUMBERS
    assert place.items(ROWS) == [(b"another", b"life")]


def test_many_snapshots_each_see_their_own_commit(place: Place) -> None:
    snapshots: list[ReadTransaction] = []
    for number in range(10):
        snapshots.append(place.engine.begin_read())
        place.put(ROWS, [(key(number), b"")])
    for number, snapshot in enumerate(snapshots):
        assert [item[0] for item in everything(snapshot, ROWS)] == [key(n) for n in range(number)]
        snapshot.close()


def test_what_is_noted_of_a_commit_is_seen_by_its_snapshots_alone(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    engine = place.engine
    with closing(engine.begin_read()) as before, closing(engine.begin_read()) as beside:
        if before.notes is not None:
            before.notes["mark"] = 1
            assert beside.notes == {"mark": 1}
        with place.writing() as txn:
            assert txn.notes is None
            txn.put_many(ROWS, [(key(1), b"new")])
        with place.reading() as after:
            assert after.notes != {"mark": 1}
        assert before.notes == beside.notes


def test_notes_of_a_commit_that_another_process_made_are_new(tmp_path: Path) -> None:
    path = tmp_path / "noted.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    with closing(engine.begin_read()) as before:
        assert before.notes is not None
        before.notes["mark"] = 1
        subprocess.run([sys.executable, "-c", COMMIT, str(path)], check=True)
        with closing(engine.begin_read()) as after:
            assert after.notes == {}
            assert after.get_many(ROWS, [b"from"]) == [b"elsewhere"]
    engine.close()


COMMIT = """
import sys
from ormdb.storage.engine import Space
from ormdb.storage.lmdb.engine import LmdbEngine
engine = LmdbEngine.open(sys.argv[1], durability="none")
txn = engine.begin_write()
txn.put_many(Space("rows/1"), [(b"from", b"elsewhere")])
txn.commit()
engine.close()
"""


def test_a_snapshot_serves_any_thread(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    with place.reading() as txn, ThreadPoolExecutor(4) as pool:
        asked = [partial(txn.get_many, ROWS, [key(n)]) for n in range(300)]
        answers = [pool.submit(each) for each in asked]
        assert [answer.result()[0] for answer in answers] == [value for _, value in NUMBERS]


def test_closing_a_snapshot_twice_is_harmless_and_reading_after_it_is_refused(
    place: Place,
) -> None:
    place.put(ROWS, NUMBERS)
    txn = place.begin_read()
    batches = txn.scan(ROWS, batch=1)
    next(batches)
    txn.close()
    txn.close()
    for use in every_read(txn):
        with pytest.raises(ClosedError, match="begin a new one"):
            use()
    with pytest.raises(ClosedError):
        next(batches)


# --- 2. order -------------------------------------------------------------------------------


def test_keys_come_in_byte_order_whatever_the_order_they_were_put_in(place: Place) -> None:
    keys = [b"b", b"a", b"\xff", b"\x00", b"aa", b"a\x00", b"\xff\xff", b"a" * 511, b"\x00\x00"]
    place.put(ROWS, [(each, each) for each in keys])
    assert place.items(ROWS) == [(each, each) for each in sorted(keys)]
    with place.reading() as txn:
        back = [item for batch in txn.scan(ROWS, reverse=True) for item in batch]
    assert back == [(each, each) for each in sorted(keys, reverse=True)]


def test_duplicates_of_one_key_come_in_byte_order(place: Place) -> None:
    for number in (5, 3, 9, 1, 7):
        place.put(INDEX, [(b"k", key(number)), (b"j", key(number))])
    with place.reading() as txn:
        assert txn.many(INDEX, [b"k"]) == [b"".join(map(key, (1, 3, 5, 7, 9)))]
        back = [item for batch in txn.scan(INDEX, reverse=True) for item in batch]
    assert back == [(k, key(n)) for k in (b"k", b"j") for n in (9, 7, 5, 3, 1)]


# --- reading many at once -------------------------------------------------------------------


def test_get_many_answers_in_the_order_asked_with_none_for_what_is_absent(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    asked = [key(7), key(500), key(3), key(7), b"", b"x" * 600]
    with place.reading() as txn:
        answers = txn.get_many(ROWS, asked)
        assert answers == [b"row 7", None, b"row 3", b"row 7", None, None]
        assert txn.get_many(ROWS, []) == []
        assert txn.get_many(ROWS, [b""]) == [None]


@pytest.mark.parametrize("fanout", [1, 2, 40, 3_000])
def test_many_joins_the_duplicates_of_each_key(place: Place, fanout: int) -> None:
    place.put(INDEX, [(key(n), key(n * fanout + m)) for n in range(5) for m in range(fanout)])
    joined = [b"".join(key(n * fanout + m) for m in range(fanout)) for n in range(5)]
    asked = [key(4), key(77), key(0), key(4)]
    with place.reading() as txn:
        assert txn.many(INDEX, asked) == [joined[4], b"", joined[0], joined[4]]
        assert txn.many(INDEX, []) == []
        assert txn.many(INDEX, [b"", key(1), b"long" * 200]) == [b"", joined[1], b""]
        assert txn.count_many(INDEX, [*asked, b""]) == [fanout, 0, fanout, fanout, 0]
        for limit in (0, 1, 30, 10_000):
            cut = [each[: 8 * limit] for each in (joined[4], b"", joined[0], joined[4])]
            assert txn.many(INDEX, asked, limit_each=limit) == cut


def test_many_serves_keys_of_any_width_and_duplicates_of_sixteen_bytes(place: Place) -> None:
    items = [(b"k" * n, key(n) + key(m)) for n in range(1, 9) for m in range(20)]
    place.put(WIDE, items)
    keys = [b"k" * n for n in range(10)]
    expected = [b"".join(value for k, value in items if k == each) for each in keys]
    with place.reading() as txn:
        assert txn.many(WIDE, keys) == expected
        assert txn.many(WIDE, keys, limit_each=2) == [each[:32] for each in expected]


def test_read_related_is_many_and_then_get_many_of_every_duplicate(place: Place) -> None:
    place.put(ROWS, [item for item in NUMBERS if item[0] != key(15)])
    place.put(INDEX, RELATED)
    asked = [key(2), key(900), key(0), key(2)]
    with place.reading() as txn:
        for limit in (None, 3):
            found, rows = txn.read_related(INDEX, ROWS, asked, limit_each=limit)
            assert found == txn.many(INDEX, asked, limit_each=limit)
            joined = b"".join(found)
            ids = [joined[at : at + 8] for at in range(0, len(joined), 8)]
            assert rows == txn.get_many(ROWS, ids)
            assert None in rows
        for limit_all in (0, 1, 6, 7, 13, 24, 99):
            for limit_each in (None, 4, 50):
                whole = txn.many(INDEX, asked, limit_each=limit_each)
                found, rows = txn.read_related(
                    INDEX, ROWS, asked, limit_each=limit_each, limit_all=limit_all
                )
                joined = b"".join(found)
                assert joined == b"".join(whole)[: 8 * limit_all]
                assert all(map(bytes.startswith, whole, found))
                assert len(rows) == len(joined) // 8
        found, rows = txn.read_related(INDEX, ROWS, [key(n) for n in range(50)])
        assert len(rows) == 300


def test_scan_rows_brings_the_row_of_each_entry(place: Place) -> None:
    place.put(ROWS, [item for item in NUMBERS if item[0] != key(15)])
    place.put(INDEX, RELATED)
    with place.reading() as txn:
        for reverse in (False, True):
            options = {"reverse": reverse, "limit": 40, "batch": 7}
            batches = list(txn.scan_rows(INDEX, ROWS, key(1), key(9), **options))  # type: ignore[arg-type]
            scanned = list(txn.scan(INDEX, key(1), key(9), **options))  # type: ignore[arg-type]
            assert [items for items, _ in batches] == scanned
            for items, rows in batches:
                assert rows == txn.get_many(ROWS, [row for _, row in items])


# --- scans ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("space", [ROWS, INDEX], ids=["map", "multimap"])
def test_a_scan_gives_the_range_asked_for(place: Place, space: Space, *, reverse: bool) -> None:
    items = NUMBERS if space is ROWS else RELATED
    place.put(space, items)
    ends = [b"", key(0), key(3), key(3) + b"\0", key(20), key(299), key(300), b"\xff"]
    afters: list[Item | None] = [
        None, items[0], items[25], items[-1], (b"", b""), (key(5), b""), (key(5), b"\xff" * 8),
        (key(5) + b"\0", b"x"), (b"\xff" * 9, b""),
    ]  # fmt: skip
    with place.reading() as txn:
        for low in ends:
            for high in (*ends, None):
                for after in afters:
                    expected = _expected(items, (low, high), after, space, reverse=reverse)
                    for limit in (None, 0, 10):
                        got = txn.scan(
                            space, low, high, reverse=reverse, after=after, limit=limit, batch=3
                        )
                        flat = [item for batch in got for item in batch]
                        assert flat == expected[:limit], (low, high, after, limit)


def test_batches_start_small_grow_and_are_never_empty(place: Place) -> None:
    place.put(ROWS, [(key(n), b"") for n in range(5_000)])
    with place.reading() as txn:
        sizes = [len(batch) for batch in txn.scan(ROWS, batch=2)]
        assert sizes[:3] == [2, 8, 32]
        assert max(sizes) == limits.SCAN_BATCH_ROWS
        assert sum(sizes) == 5_000
        assert all(sizes)
        assert [len(batch) for batch in txn.scan(ROWS, limit=11, batch=3)] == [3, 8]
        assert [len(batch) for batch in txn.scan(ROWS, limit=15, batch=3)] == [3, 12]
        assert next(map(len, txn.scan(ROWS))) == limits.SCAN_BATCH_ROWS_FIRST
        assert [len(batch) for batch in txn.scan(ROWS, batch=4_000)] == [4_000, 1_000]
        assert not list(txn.scan(ROWS, key(9), key(9)))
        assert not list(txn.scan(ROWS, key(9), key(3)))
        assert not list(txn.scan(ROWS, b"\xff"))


def test_writes_between_two_batches_neither_break_a_scan_nor_repeat_a_key(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    for space, reverse in ((ROWS, False), (ROWS, True), (INDEX, False), (INDEX, True)):
        before = place.items(space)
        with place.writing() as txn:
            seen: list[Item] = []
            for batch in txn.scan(space, reverse=reverse, batch=1):
                seen += batch
                last, value = seen[-1]
                if space is ROWS:
                    txn.delete_many(space, [last])
                    txn.put_many(space, [(last + b"\0" * 3, value), (last[:7], value)])
                else:
                    txn.delete_items(space, [(last, value)])
                    txn.put_many(space, [(last + b"more", value)])
        assert len(set(seen)) == len(seen)
        kept = [item for item in seen if item in set(before)]
        assert kept == sorted(before, reverse=reverse)
        with place.writing() as txn:
            txn.drop_space(space)
            txn.put_many(space, before)


def test_scan_many_gives_the_items_of_every_range(place: Place) -> None:
    place.put(INDEX, RELATED)
    ranges: list[tuple[bytes, bytes | None]] = [
        (key(3), key(4)), (key(3), key(4)), (b"", None), (key(500), None), (key(9), key(2)),
        (key(40), None), (b"", key(1)),
    ]  # fmt: skip
    with place.reading() as txn:
        for reverse in (False, True):
            for limit in (None, 0, 1, 5, 200):
                expected = [
                    _expected(RELATED, bounds, None, INDEX, reverse=reverse)[:limit]
                    for bounds in ranges
                ]
                got = txn.scan_many(INDEX, ranges, reverse=reverse, limit_each=limit)
                assert got == expected
        assert txn.scan_many(INDEX, []) == []


def test_a_scan_refuses_sizes_that_make_no_sense(place: Place) -> None:
    with place.reading() as txn:
        with pytest.raises(UsageError, match="batches of 0"):
            txn.scan(ROWS, batch=0)
        with pytest.raises(UsageError, match="limit of -1"):
            txn.scan(ROWS, limit=-1)
        with pytest.raises(UsageError, match="limit of -1"):
            txn.scan_many(ROWS, [(b"", None)], limit_each=-1)
        with pytest.raises(UsageError, match="limit of -1"):
            txn.many(INDEX, [b"k"], limit_each=-1)


# --- 5. spaces ------------------------------------------------------------------------------


def test_a_space_that_does_not_exist_reads_as_empty(place: Place) -> None:
    for txn in (place.begin_read(), place.engine.begin_write()):
        assert txn.get_many(ROWS, [b"k", b"l"]) == [None, None]
        assert txn.many(INDEX, [b"k", b"l"]) == [b"", b""]
        assert txn.count_many(INDEX, [b"k"]) == [0]
        assert list(txn.scan(ROWS)) == []
        assert txn.scan_many(ROWS, [(b"", None)]) == [[]]
        assert txn.read_related(INDEX, ROWS, [b"k"]) == ([b""], [])
        assert list(txn.scan_rows(INDEX, ROWS)) == []
        assert txn.statistics(ROWS).entries == 0
        assert txn.space_names() == []
        txn.close()


def test_rows_that_do_not_exist_read_as_none_through_an_index_that_does(place: Place) -> None:
    place.put(INDEX, RELATED[:2])
    with place.reading() as txn:
        assert txn.read_related(INDEX, ROWS, [key(0)])[1] == [None, None]
        assert next(txn.scan_rows(INDEX, ROWS))[1] == [None, None]


def test_spaces_that_hold_items_are_listed_by_name(place: Place) -> None:
    names = ["rows/10", "rows/9", "meta", "index/ä"]
    with place.writing() as txn:
        for name in names:
            txn.put_many(Space(name), [(b"k", b"v")])
        txn.put_many(Space("rows/empty"), [])
        assert txn.space_names() == sorted(names)
    with place.writing() as txn:
        txn.delete_many(Space("meta"), [b"k"])
        txn.drop_space(Space("rows/9"))
        txn.drop_space(Space("rows/never"))
        assert txn.space_names() == ["index/ä", "rows/10"]
    with place.reading() as read:
        assert read.space_names() == ["index/ä", "rows/10"]


def test_a_dropped_space_is_empty_and_can_be_written_to_again(place: Place) -> None:
    place.put(INDEX, RELATED)
    with place.writing() as txn:
        txn.drop_space(INDEX)
        assert everything(txn, INDEX) == []
        assert txn.statistics(INDEX).entries == 0
        txn.put_many(INDEX, RELATED[:3])
    assert place.items(INDEX) == RELATED[:3]


def test_a_space_is_used_as_it_was_first_written_to(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    map_, multimap = Space("index/1"), Space("rows/1", 8)
    with place.reading() as txn:
        uses: list[Callable[[], object]] = [
            lambda: txn.get_many(map_, [b"k"]),
            lambda: txn.many(multimap, [b"k"]),
            lambda: txn.many(ROWS, [b"k"]),
            lambda: txn.get_many(INDEX, [b"k"]),
            lambda: txn.count_many(ROWS, [b"k"]),
            lambda: list(txn.scan(multimap)),
            lambda: txn.read_related(ROWS, ROWS, [b"k"]),
            lambda: txn.read_related(WIDE, ROWS, [b"k"]),
            lambda: txn.read_related(INDEX, INDEX, [b"k"]),
            lambda: list(txn.scan_rows(WIDE, ROWS)),
        ]
        for use in uses:
            with pytest.raises(UsageError, match="space"):
                use()
    with place.writing() as write:
        with pytest.raises(UsageError, match="space"):
            write.put_many(map_, [(b"k", b"v")])
        with pytest.raises(UsageError, match="space"):
            write.delete_items(ROWS, [(b"k", b"v")])


def test_statistics_of_a_space_count_its_items(place: Place) -> None:
    place.put(ROWS, NUMBERS)
    place.put(INDEX, RELATED)
    with place.reading() as txn:
        assert txn.statistics(ROWS).entries == 300
        assert txn.statistics(INDEX).entries == 300
        assert txn.statistics(ROWS).bytes > 300 * 8
    assert place.engine.statistics().used_bytes > 0


# --- below ----------------------------------------------------------------------------------


def _expected(
    items: list[Item],
    bounds: tuple[bytes, bytes | None],
    after: Item | None,
    space: Space,
    *,
    reverse: bool,
) -> list[Item]:
    low, high = bounds
    kept = [item for item in items if low <= item[0] and (high is None or item[0] < high)]
    if after is not None:
        place = after if space.duplicate_bytes else (after[0],)
        width = len(place)
        kept = [i for i in kept if (i[:width] < place if reverse else i[:width] > place)]
    return kept[::-1] if reverse else kept
