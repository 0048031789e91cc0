"""What is particular to overlays; the engine contract is held by tests/conformance."""

from __future__ import annotations

import random

import pytest

from ormdb.errors import UsageError
from ormdb.storage.engine import Item, Space
from ormdb.storage.memory import MemoryEngine
from ormdb.storage.overlay import OverlayFullError, OverlayTransaction

ROWS = Space("rows/1")
INDEX = Space("index/1", 8)


def numbered(number: int) -> bytes:
    return number.to_bytes(8, "big")


def engine_with(items: dict[Space, list[Item]]) -> MemoryEngine:
    engine = MemoryEngine()
    txn = engine.begin_write()
    for space, given in items.items():
        txn.put_many(space, given)
    txn.commit()
    return engine


def test_the_base_is_never_written_to() -> None:
    base = engine_with({ROWS: [(b"a", b"1")], INDEX: [(b"k", numbered(1))]}).begin_read()
    overlay = OverlayTransaction(base, bytes_max=2**20)
    overlay.put_many(ROWS, [(b"a", b"2"), (b"b", b"3")])
    overlay.delete_items(INDEX, [(b"k", numbered(1))])
    overlay.drop_space(ROWS)
    assert base.get_many(ROWS, [b"a", b"b"]) == [b"1", None]
    assert base.many(INDEX, [b"k"]) == [numbered(1)]


def test_the_write_that_would_hold_too_much_is_refused() -> None:
    base = engine_with({}).begin_read()
    overlay = OverlayTransaction(base, bytes_max=1_000)
    overlay.put_many(ROWS, [(b"a", b"x" * 500)])
    with pytest.raises(OverlayFullError):
        overlay.put_many(ROWS, [(b"b", b"x" * 500)])


def test_a_nested_overlay_has_what_room_is_left() -> None:
    base = engine_with({}).begin_read()
    overlay = OverlayTransaction(base, bytes_max=1_000)
    overlay.put_many(ROWS, [(b"a", b"x" * 500)])
    inner = overlay.nested()
    with pytest.raises(OverlayFullError):
        inner.put_many(ROWS, [(b"b", b"x" * 500)])
    inner.abort()
    assert overlay.get_many(ROWS, [b"a", b"b"]) == [b"x" * 500, None]


def test_the_outermost_overlay_has_nothing_to_commit_to() -> None:
    overlay = OverlayTransaction(engine_with({}).begin_read(), bytes_max=1_000)
    with pytest.raises(UsageError, match="run its statements again"):
        overlay.commit()


@pytest.mark.parametrize("seed", range(40))
def test_counts_are_those_of_an_engine_that_was_written_to(seed: int) -> None:
    random_ = random.Random(seed)
    keys = [b"k%d" % n for n in range(6)]

    def items(space: Space) -> list[Item]:
        count = random_.randrange(1, 12)
        return [(random_.choice(keys), numbered(random_.randrange(5))) for _ in range(count)]

    given = {space: items(space) for space in (ROWS, INDEX)}
    base = engine_with(given).begin_read()
    whole = engine_with(given).begin_write()
    overlay = OverlayTransaction(base, bytes_max=2**20)
    for _ in range(30):
        space = random_.choice((ROWS, INDEX))
        drawn = items(space)
        match random_.randrange(10):
            case 0:
                assert overlay.delete_many(space, keys[:2]) == whole.delete_many(space, keys[:2])
            case 1:
                overlay.drop_space(space)
                whole.drop_space(space)
            case 2 | 3 | 4 if space is INDEX:
                removed = overlay.delete_items(space, drawn)
                assert removed == whole.delete_items(space, drawn)
            case _:
                overlay.put_many(space, drawn)
                whole.put_many(space, drawn)
        for each in (ROWS, INDEX):
            assert overlay.statistics(each).entries == whole.statistics(each).entries
            assert list(overlay.scan(each, batch=2)) == list(whole.scan(each, batch=2))
        assert overlay.count_many(INDEX, keys) == whole.count_many(INDEX, keys)
        assert overlay.space_names() == whole.space_names()
