"""A page in a wrong place gives no item twice and none out of order: whoever reads it is told."""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ormdb.errors import CorruptionError
from ormdb.storage.engine import ReadTransaction
from ormdb.storage.lmdb import LmdbEngine
from tests.unit.storage.children import INDEX, ROWS, key

PAGE_BYTES: Final = 4_096
LEAF: Final = 0x02
LEAF_OF_DUPLICATES: Final = 0x22
PARENTS: Final = tuple(key(parent) for parent in range(200))
BUSY: Final = key(1_000)

Read = Callable[[ReadTransaction], object]

READS_OF_ROWS: Final[tuple[Read, ...]] = (
    lambda txn: list(txn.scan(ROWS)),
    lambda txn: list(txn.scan(ROWS, batch=7)),
    lambda txn: list(txn.scan(ROWS, reverse=True)),
    lambda txn: txn.scan_many(ROWS, [(b"", None)]),
)
READS_OF_ENTRIES: Final[tuple[Read, ...]] = (
    lambda txn: list(txn.scan(INDEX, high=BUSY)),
    lambda txn: list(txn.scan(INDEX, high=BUSY, reverse=True, batch=2_000)),
    lambda txn: txn.scan_many(INDEX, [(b"", BUSY)], reverse=True),
    lambda txn: list(txn.scan_rows(INDEX, ROWS, high=BUSY)),
)
READS_OF_DUPLICATES: Final[tuple[Read, ...]] = (
    lambda txn: txn.many(INDEX, [BUSY]),
    lambda txn: txn.many(INDEX, [BUSY], limit_each=1_500),
    lambda txn: txn.read_related(INDEX, ROWS, [*PARENTS, BUSY]),
    lambda txn: list(txn.scan(INDEX, BUSY)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Rows, entries of a few duplicates each, and one key whose duplicates have their own tree."""
    made = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(made, durability="none")
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(n), b"row %6d" % n) for n in range(2_000)])
    txn.put_many(INDEX, [(PARENTS[n // 10], key(n)) for n in range(2_000)])
    txn.put_many(INDEX, [(BUSY, key(n)) for n in range(2_000)])
    txn.commit()
    engine.close()
    return made


def pages_of(data: bytes, kind: int, *, rows: bool = False) -> list[int]:
    """Where the leaves of the rows lie, or those of the entries, in the order of their keys."""
    found: list[tuple[bytes, int]] = []
    for at in range(2 * PAGE_BYTES, len(data), PAGE_BYTES):
        page = data[at : at + PAGE_BYTES]
        if struct.unpack_from("<H", page, 10) != (kind,):
            continue
        if kind == LEAF_OF_DUPLICATES:
            found.append((page[16:24], at))
            continue
        (node,) = struct.unpack_from("<H", page, 16)
        (key_bytes,) = struct.unpack_from("<H", page, node + 6)
        first, value = page[node + 8 :][:key_bytes], page[node + 8 + key_bytes :]
        if key_bytes == len(BUSY) and value.startswith(b"row ") == rows:
            found.append((first, at))
    return [at for _, at in sorted(found)]


@contextmanager
def damaged(path: Path, data: bytes) -> Generator[ReadTransaction]:
    path.write_bytes(data)
    engine = LmdbEngine.open(path)
    txn = engine.begin_read()
    try:
        yield txn
    finally:
        txn.close()
        engine.close()


def with_a_page_twice(data: bytes, kind: int, *, rows: bool = False) -> bytes:
    """The file with one page of a tree over the one behind it."""
    one, two = pages_of(data, kind, rows=rows)[1:3]
    return data[:two] + data[one : one + PAGE_BYTES] + data[two + PAGE_BYTES :]


@pytest.mark.parametrize("number", range(4))
def test_rows_of_a_page_that_is_there_twice_are_not_given_twice(path: Path, number: int) -> None:
    with (
        damaged(path, with_a_page_twice(path.read_bytes(), LEAF, rows=True)) as txn,
        pytest.raises(CorruptionError, match=r"out of order.*check --deep"),
    ):
        READS_OF_ROWS[number](txn)


@pytest.mark.parametrize("number", range(4))
def test_entries_of_a_page_that_is_there_twice_are_not_given_twice(path: Path, number: int) -> None:
    with (
        damaged(path, with_a_page_twice(path.read_bytes(), LEAF)) as txn,
        pytest.raises(CorruptionError, match="out of order"),
    ):
        READS_OF_ENTRIES[number](txn)


@pytest.mark.parametrize("number", range(4))
def test_duplicates_of_a_page_that_is_there_twice_are_not_given_twice(
    path: Path, number: int
) -> None:
    with (
        damaged(path, with_a_page_twice(path.read_bytes(), LEAF_OF_DUPLICATES)) as txn,
        pytest.raises(CorruptionError, match="out of order"),
    ):
        READS_OF_DUPLICATES[number](txn)


def test_a_duplicate_that_became_its_sibling_is_not_given_twice(path: Path) -> None:
    # 55, 56, 57 become 55, 54, 57: one bit, and a row that the same parent has.
    data = path.read_bytes()
    for spoiled in (key(54), key(55), key(57)):
        bad = data.replace(key(55) + key(56) + key(57), key(55) + spoiled + key(57))
        with damaged(path, bad) as txn:
            assert len(txn.many(INDEX, [PARENTS[4]])[0]) == 80
            for read in (
                lambda: txn.many(INDEX, PARENTS[3:7]),
                lambda: txn.read_related(INDEX, ROWS, PARENTS[5:6]),
            ):
                with pytest.raises(CorruptionError, match="out of order"):
                    read()


def test_a_scan_does_not_go_back_behind_what_it_has_given(path: Path) -> None:
    with damaged(path, with_a_page_twice(path.read_bytes(), LEAF, rows=True)) as txn:
        seen: list[bytes] = []
        with pytest.raises(CorruptionError):
            for batch in txn.scan(ROWS, batch=1):
                seen.extend(row for row, _ in batch)
    assert seen
    assert seen == sorted(set(seen))
