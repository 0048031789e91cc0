"""Keys with so many duplicates that LMDB gives them a tree of their own."""

from __future__ import annotations

import struct
from pathlib import Path

from ormdb.storage.engine import Space
from ormdb.storage.lmdb import LmdbEngine

CHILDREN = 30_000
RELATION = Space("relation/1", 8)


def test_a_compacted_copy_holds_every_duplicate_of_a_large_key(tmp_path: Path) -> None:
    """LMDB's own compacting copy ends the process here."""
    children = [struct.pack(">Q", number) for number in range(CHILDREN)]
    engine = LmdbEngine.open(str(tmp_path / "a.ormdb"))
    txn = engine.begin_write()
    txn.put_many(RELATION, [(b"parent", child) for child in children], append=True)
    txn.put_many(Space("meta"), [(b"head", b"x")])
    txn.commit()
    engine.copy_to(str(tmp_path / "b.ormdb"), compact=True)
    engine.close()
    copy = LmdbEngine.open(str(tmp_path / "b.ormdb"), create=False)
    read = copy.begin_read()
    assert read.many(RELATION, [b"parent"]) == [b"".join(children)]
    assert read.get_many(Space("meta"), [b"head"]) == [b"x"]
    assert read.space_names() == ["meta", "relation/1"]
    copy.close()
