"""No file, however damaged, ends the process that opens it; what it then reads is right or refused.

Damaged files are opened in child processes, so that a death is counted and does not end the tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ormdb.errors import FormatError, UsageError
from ormdb.storage.engine import Space
from ormdb.storage.lmdb import LmdbEngine, verify_file
from tests.unit.storage.children import ROOT, key, run

DAMAGED_FILES: Final = 400

SCRIPT: Final = """
import os, random, sys
from pathlib import Path
from ormdb.errors import CorruptionError, FormatError
from ormdb.storage.lmdb import LmdbEngine

good, bad, start, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
whole = good.read_bytes()
pages = len(whole) // 4096
for seed in range(start, stop):
    draw = random.Random(seed)
    spoiled = bytearray(whole)
    page, other = draw.randrange(pages), draw.randrange(pages)
    match seed % 6:
        case 0:
            spoiled[draw.randrange(160) + 4096 * draw.randrange(2)] ^= 1 << draw.randrange(8)
        case 1:
            spoiled[draw.randrange(len(spoiled))] ^= 1 << draw.randrange(8)
        case 2:
            spoiled[4096 * page + draw.randrange(24)] ^= 1 << draw.randrange(8)
        case 3:
            del spoiled[draw.randrange(len(spoiled)):]
        case 4:
            spoiled[4096 * page : 4096 * (page + 1)] = bytes(4096)
        case _:
            spoiled[4096 * page : 4096 * (page + 1)] = whole[4096 * other : 4096 * (other + 1)]
    bad.unlink(missing_ok=True)
    bad.write_bytes(spoiled)
    print(seed, "tried", flush=True)
    try:
        engine = LmdbEngine.open(bad, read_only=bool(draw.randrange(2)))
        txn = engine.begin_read()
        names = txn.space_names()
        print(seed, "opened", len(names), flush=True)
        engine.close()
    except (CorruptionError, FormatError) as error:
        assert str(bad) in str(error), error
        print(seed, "refused", flush=True)
"""


def write_file(path: Path) -> None:
    engine = LmdbEngine.open(path, durability="none")
    for number in range(40):
        txn = engine.begin_write()
        txn.put_many(Space(f"rows/{number}"), [(key(n), b"v" * 60) for n in range(100)])
        txn.put_many(Space(f"index/{number}", 8), [(key(n // 90), key(n)) for n in range(200)])
        txn.commit()
    engine.close()


def test_no_damage_ends_the_process_that_opens_the_file(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ormdb", tmp_path / "bad.ormdb"
    write_file(good)
    seen: list[list[str]] = []
    deaths: list[str] = []
    start = 0
    while start < DAMAGED_FILES:
        arguments = [str(good), str(bad), str(start), str(DAMAGED_FILES)]
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        seen += [line.split() for line in ended.stdout.splitlines()]
        if ended.returncode == 0:
            break
        deaths.append(f"seed {seen[-1][0]}: {ended.returncode} {ended.stderr[-500:]}")
        start = int(seen[-1][0]) + 1
    assert deaths == []
    ends = [line[1] for line in seen if line[1] != "tried"]
    assert len(ends) == DAMAGED_FILES
    assert ends.count("refused") > DAMAGED_FILES // 5
    assert ends.count("opened") > DAMAGED_FILES // 5


def test_a_cut_file_has_problems_and_a_whole_one_has_none(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    write_file(path)
    assert verify_file(str(path)) == []
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 3 * 4096, 4096, 10, 0):
        path.write_bytes(whole[:size])
        assert verify_file(str(path))


def test_a_large_value_made_smaller_in_its_own_transaction_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    txn = engine.begin_write()
    for size in (20_000, 15_000, 5_000):
        txn.put_many(Space("rows/1"), [(key(n), b"v" * size) for n in range(50)])
    txn.commit()
    engine.close()
    assert verify_file(str(path)) == []
    whole = bytearray(path.read_bytes())
    large = whole.index(b"v" * 4_000) // 4096 * 4096
    whole[large + 12 : large + 16] = (10_000).to_bytes(4, "little")  # more than there are
    path.write_bytes(whole)
    assert verify_file(str(path))


@pytest.mark.parametrize(
    "content", [b"SQLite format 3\0" + bytes(5_000), b"hello", b"\xff" * 20_000, b"\0"]
)
def test_a_file_of_another_program_is_refused_and_stays_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "foreign.db"
    path.write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(FormatError, match="open another file"):
            LmdbEngine.open(path, read_only=read_only)
    assert path.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["foreign.db"]


def test_a_database_of_another_program_on_the_same_engine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.mdb"
    lines = run(
        """
import lmdb
environment = lmdb.open(path, subdir=False, lib_version=0)
with environment.begin(write=True) as txn:
    txn.put(b"not", b"a space")
environment.close()
say("written")
""",
        path,
    )
    assert lines == ["written"]
    with pytest.raises(FormatError, match="other things than spaces"):
        LmdbEngine.open(path)


def test_a_file_of_the_next_version_of_the_engine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "newer.mdb"
    run("import lmdb; lmdb.open(path, subdir=False, lib_version=1).close()", path)
    with pytest.raises(FormatError):
        LmdbEngine.open(path)


def test_an_empty_file_becomes_a_database_unless_it_is_only_read(tmp_path: Path) -> None:
    path = tmp_path / "empty.ormdb"
    path.touch()
    with pytest.raises(FormatError, match="empty"):
        LmdbEngine.open(path, read_only=True)
    with pytest.raises(FormatError, match="empty"):
        LmdbEngine.open(path, create=False)
    engine = LmdbEngine.open(path)
    engine.begin_write().commit()
    engine.close()


def test_folders_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        LmdbEngine.open(tmp_path)
    with pytest.raises(UsageError, match="no file"):
        LmdbEngine.open(tmp_path / "missing.ormdb", read_only=True)
    with pytest.raises(UsageError, match="no file"):
        LmdbEngine.open(tmp_path / "missing.ormdb", create=False)
    with pytest.raises(UsageError, match="does not exist"):
        LmdbEngine.open(tmp_path / "no" / "folder" / "data.ormdb")
    with pytest.raises(UsageError, match="no file"):
        LmdbEngine.open(tmp_path / "no" / "folder" / "data.ormdb", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_under_a_row_is_read_as_it_is_or_refused(tmp_path: Path) -> None:
    """Rows carry checksums of their own; the engine's part is not to die of its own structure."""
    path = tmp_path / "data.ormdb"
    write_file(path)
    script = """
import random
from pathlib import Path
bad = Path(path)
whole = bad.read_bytes()
for seed in range(60):
    draw = random.Random(seed)
    spoiled = bytearray(whole)
    at = whole.rindex(b"v" * 60) - draw.randrange(2_000)
    spoiled[at] ^= 1 << draw.randrange(8)
    bad.write_bytes(spoiled)
    try:
        engine = LmdbEngine.open(path, read_only=True)
        txn = engine.begin_read()
        for name in txn.space_names():
            if name.startswith("rows"):
                list(txn.scan(Space(name)))
        engine.close()
    except OrmdbError as error:
        say(type(error).__name__)
    Path(path + "-lock").unlink(missing_ok=True)
say("alive")
"""
    assert run(script, path)[-1] == "alive"


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("space", ["rows/1", "index/1"])
def test_a_file_in_which_a_search_goes_astray_has_problems(
    tmp_path: Path, space: str, step: int
) -> None:
    path = tmp_path / "data.ormdb"
    engine = LmdbEngine.open(path, durability="none")
    txn = engine.begin_write()
    if space == "rows/1":
        txn.put_many(Space(space), [(key(n), b"v" * 60) for n in range(2_000)], append=True)
    else:  # one key, whose duplicates have a tree of their own
        txn.put_many(Space(space, 8), [(key(7), key(n)) for n in range(2_000)])
    txn.commit()
    engine.close()
    whole = path.read_bytes()
    assert verify_file(str(path)) == []
    inner = next(at for at in range(0, len(whole), 4096) if whole[at + 10 : at + 12] == b"\x01\x00")
    node = inner + int.from_bytes(whole[inner + 18 : inner + 20], "little") + 8
    separator = int.from_bytes(whole[node : node + 8], "big")
    assert 0 < separator < 2_000
    path.write_bytes(whole[:node] + key(separator + step) + whole[node + 8 :])
    assert any("lead to it" in problem for problem in verify_file(str(path)))
