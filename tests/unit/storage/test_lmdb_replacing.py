"""A file that anybody has open is not replaced; another one is, in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from ormdb.errors import BusyError
from ormdb.storage.lmdb import LmdbEngine
from ormdb.storage.lmdb.replacing import alone_with, lock_path, replace_unused
from tests.unit.storage.children import ROWS, child, key


def make(path: Path, number: int) -> None:
    """A file with one row."""
    engine = LmdbEngine.open(path, durability="none")
    txn = engine.begin_write()
    txn.put_many(ROWS, [(key(number), b"row")])
    txn.commit()
    engine.close()


def first_key(path: Path) -> bytes:
    engine = LmdbEngine.open(path)
    txn = engine.begin_read()
    found = next(txn.scan(ROWS))[0][0]
    engine.close()
    return found


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A file in use, and what shall take its place."""
    old, new = tmp_path / "old", tmp_path / "new"
    make(old, 1)
    make(new, 2)
    return old, new


def test_a_file_that_nobody_has_open_is_replaced(files: tuple[Path, Path]) -> None:
    old, new = files
    replace_unused(old, new)
    assert first_key(old) == key(2)
    assert not new.exists()


def test_a_link_leads_to_the_file_that_is_replaced(files: tuple[Path, Path]) -> None:
    old, new = files
    link = old.with_name("link")
    link.symlink_to(old)
    replace_unused(link, new)
    assert link.is_symlink()
    assert first_key(old) == key(2)


def test_a_file_open_in_this_process_is_not_replaced(files: tuple[Path, Path]) -> None:
    old, new = files
    engine = LmdbEngine.open(old)
    with pytest.raises(BusyError, match="this process"):
        replace_unused(old, new)
    engine.close()
    assert first_key(old) == key(1)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_open_in_another_process_is_not_replaced(
    files: tuple[Path, Path], *, read_only: bool
) -> None:
    old, new = files
    with child(f"e = LmdbEngine.open(path, read_only={read_only}); say('open'); hear()", old) as c:
        c.expect("open")
        with pytest.raises(BusyError, match="another process"):
            replace_unused(old, new)
    assert first_key(old) == key(1)
    replace_unused(old, new)
    assert first_key(old) == key(2)


def test_being_alone_ends_with_the_block(files: tuple[Path, Path]) -> None:
    old, _ = files
    with alone_with(str(old)):
        assert lock_path(old).exists()
    assert first_key(old) == key(1)
