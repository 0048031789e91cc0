"""The look at a file's pages refuses what was damaged, and never what LMDB wrote."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import lmdb
import pytest

from ormdb.errors import CorruptionError, FormatError, OrmdbError
from ormdb.storage.engine import Space
from ormdb.storage.lmdb import LmdbEngine, verify_file
from ormdb.storage.lmdb.pages import check_pages
from tests.unit.storage.children import INDEX, ROWS, child, key

PAGE = 4_096
META_MAGIC, META_VERSION, META_PAGE_BYTES = 16, 20, 40
META_MAIN_FLAGS, META_MAIN_DEPTH, META_MAIN_ENTRIES, META_MAIN_ROOT = 92, 94, 120, 128
META_LAST_PAGE, META_TRANSACTION = 136, 144


def write_file(path: Path, *, spaces: int = 3) -> None:
    """A file whose newer meta page is page 0."""
    engine = LmdbEngine.open(path)
    for number in range(2):
        txn = engine.begin_write()
        for space in range(spaces):
            txn.put_many(Space(f"rows/{space}"), [(key(n), b"v" * 50) for n in range(200)])
            txn.put_many(Space(f"index/{space}", 8), [(key(n // 9), key(n)) for n in range(200)])
            txn.put_many(Space("meta"), [(b"n", key(number))])
        txn.commit()
    engine.close()


def leave_short(path: Path) -> None:
    """What LMDB leaves when a commit frees pages that it had allocated at the end."""
    environment = lmdb.open(str(path), subdir=False, max_dbs=1, map_size=2**26, lib_version=0)
    space = environment.open_db(b"rows/1")
    for puts, deletes, size in ((3_000, 3_000, 0), (3_000, 0, 0), (0, 0, 2_000_000)):
        with environment.begin(db=space, write=True) as txn:
            for number in range(puts):
                txn.put(key(number), b"kept")
            for number in range(deletes):
                txn.delete(key(number))
            if size:
                txn.put(b"large", b"x" * size)
                txn.delete(b"large")
    environment.close()


def change(path: Path, at: int, form: str, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack(form, value))


def read(path: Path, at: int, form: str) -> int:
    return int(struct.unpack_from(form, path.read_bytes(), at)[0])


def test_what_the_engine_wrote_passes_whatever_its_shape(tmp_path: Path) -> None:
    for spaces in (0, 1, 200):
        path = tmp_path / f"{spaces}.ormdb"
        write_file(path, spaces=spaces)
        meta = check_pages(str(path))
        assert meta.transaction == (2 if spaces else 0)
        assert meta.main.entries == (2 * spaces + 1 if spaces else 0)
        assert verify_file(str(path)) == []


def test_a_file_whose_last_pages_were_never_written_passes(tmp_path: Path) -> None:
    path = tmp_path / "short.ormdb"
    leave_short(path)
    meta = check_pages(str(path))
    end = (meta.last_page + 1) * PAGE
    assert path.stat().st_size < end
    engine = LmdbEngine.open(path)
    txn = engine.begin_write()
    assert txn.get_many(ROWS, [key(7)]) == [b"kept"]
    txn.put_many(ROWS, [(key(1), b"more")])
    txn.commit()
    engine.close()
    assert path.stat().st_size == end  # so that nobody has to look at every page again


def test_a_first_commit_that_failed_leaves_an_empty_file_that_can_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "failed.ormdb"
    write_file(path, spaces=0)
    assert read(path, PAGE + META_MAIN_ROOT, "<Q") == 2**64 - 1
    change(path, PAGE + META_MAIN_ROOT, "<Q", 2)  # a page that was never written
    assert check_pages(str(path)).main.entries == 0
    engine = LmdbEngine.open(path)
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(1), b"more")])
    txn.commit()
    engine.close()
    assert verify_file(str(path)) == []


def test_a_commit_leaves_the_file_as_long_as_it_says(tmp_path: Path) -> None:
    path = tmp_path / "whole.ormdb"
    engine = LmdbEngine.open(path)
    for size in (1_000_000, 2_000_000):
        txn = engine.begin_write()
        txn.put_many(ROWS, [(b"large", b"x" * size), (key(size), b"kept")])
        txn.delete_many(ROWS, [b"large"])
        txn.commit()
        assert path.stat().st_size == (check_pages(str(path)).last_page + 1) * PAGE
    engine.close()


def test_a_file_passes_while_another_process_writes_to_it(tmp_path: Path) -> None:
    path = tmp_path / "busy.ormdb"
    write_file(path, spaces=40)
    script = """
engine = LmdbEngine.open(path, durability="none")
say("writing")
for number in range(3_000):
    txn = engine.begin_write()
    for space in range(0, 40, 7):
        txn.put_many(Space(f"rows/{space}"), [(key(number), b"x" * 300)])
        txn.delete_many(Space(f"rows/{space}"), [key(max(0, number - 50))])
    txn.commit()
engine.close()
say("done")
"""
    with child(script, path) as writer:
        writer.expect("writing")
        seen: set[int] = set()
        while writer.process.poll() is None:
            seen.add(check_pages(str(path)).transaction)
        writer.expect("done")
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("at", "form", "value", "kind"),
    [
        (META_MAGIC, "<I", 1, CorruptionError),
        (META_VERSION, "<I", 3, CorruptionError),
        (META_PAGE_BYTES, "<I", 5_000, CorruptionError),
        (META_PAGE_BYTES, "<I", 8_192, CorruptionError),
        (META_MAIN_FLAGS, "<H", 4, FormatError),
        (META_MAIN_DEPTH, "<H", 60, CorruptionError),
        (META_MAIN_ENTRIES, "<Q", 9, CorruptionError),
        (META_MAIN_ROOT, "<Q", 10**9, CorruptionError),
        (META_LAST_PAGE, "<Q", 10**9, CorruptionError),
        (META_LAST_PAGE, "<Q", 0, CorruptionError),
        (META_TRANSACTION, "<Q", 99, CorruptionError),
        (META_TRANSACTION, "<Q", 100, CorruptionError),
        (META_TRANSACTION, "<Q", 3, CorruptionError),
    ],
)
def test_a_spoiled_meta_page_is_refused(
    tmp_path: Path, at: int, form: str, value: int, kind: type[OrmdbError]
) -> None:
    path = tmp_path / "spoiled.ormdb"
    write_file(path)
    assert read(path, META_TRANSACTION, "<Q") == 2
    change(path, at, form, value)
    with pytest.raises(kind, match=r"restore a backup|open another file"):
        check_pages(str(path))


@pytest.mark.parametrize(("at", "value"), [(META_MAGIC, 1), (META_VERSION, 3)])
def test_two_spoiled_meta_pages_are_of_no_file_of_ours(tmp_path: Path, at: int, value: int) -> None:
    path = tmp_path / "spoiled.ormdb"
    write_file(path)
    change(path, at, "<I", value)
    change(path, PAGE + at, "<I", value)
    with pytest.raises(FormatError, match=r"open another file|the ormdb that wrote it"):
        check_pages(str(path))


@pytest.mark.parametrize(
    ("size", "kind"), [(PAGE, CorruptionError), (50, FormatError), (5 * PAGE, CorruptionError)]
)
def test_a_cut_file_is_refused(tmp_path: Path, size: int, kind: type[OrmdbError]) -> None:
    path = tmp_path / "spoiled.ormdb"
    write_file(path)
    os.truncate(path, size)
    with pytest.raises(kind, match=r"restore a backup|open another file"):
        check_pages(str(path))


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (0, "<Q", 1), (10, "<H", 0x10), (10, "<H", 0x04), (12, "<H", 16), (12, "<H", 4_000),
        (12, "<H", 19), (14, "<H", 5_000), (16, "<H", 4_095), (16, "<H", 20),
    ],
)  # fmt: skip
def test_a_spoiled_page_of_names_is_refused(tmp_path: Path, at: int, form: str, value: int) -> None:
    path = tmp_path / "spoiled.ormdb"
    write_file(path)
    root = read(path, META_MAIN_ROOT, "<Q")
    change(path, root * PAGE + at, form, value)
    with pytest.raises(CorruptionError, match="restore a backup"):
        check_pages(str(path))


@pytest.mark.parametrize(
    ("at", "form", "value", "kind"),
    [
        (0, "<H", 47, CorruptionError),  # the size of a record
        (4, "<H", 0, FormatError),  # not a record at all
        (8, "<B", 0xFF, CorruptionError),  # a name that is no text
        (8, "<B", 0x7A, CorruptionError),  # a name out of order
        (15 + 4, "<H", 8, CorruptionError),  # flags of the space
        (15 + 6, "<H", 0, CorruptionError),  # a root without depth
        (15 + 6, "<H", 99, CorruptionError),
        (15 + 40, "<Q", 10**9, CorruptionError),  # a root outside of the file
        (15 + 40, "<Q", 1, CorruptionError),  # a root that is a meta page
    ],
)
def test_a_spoiled_record_of_a_space_is_refused(
    tmp_path: Path, at: int, form: str, value: int, kind: type[OrmdbError]
) -> None:
    path = tmp_path / "spoiled.ormdb"
    write_file(path)
    node = path.read_bytes().rindex(b"index/0") - 8
    older = path.read_bytes().index(b"index/0") - 8
    root = read(path, META_MAIN_ROOT, "<Q")
    node = node if node // PAGE == root else older
    change(path, node + at, form, value)
    with pytest.raises(kind, match=r"restore a backup|open another file"):
        check_pages(str(path))


def test_the_root_of_a_space_must_be_the_page_it_says_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spoiled.ormdb"
    engine = LmdbEngine.open(path)
    txn = engine.begin_write()
    txn.put_many(INDEX, [(key(n), key(n)) for n in range(2_000)])
    txn.commit()
    engine.close()
    record = path.read_bytes().index(b"index/1") + len(b"index/1")
    root = read(path, record + 40, "<Q")
    change(path, root * PAGE, "<Q", root + 1)
    with pytest.raises(CorruptionError, match=f"page {root} says"):
        check_pages(str(path))
