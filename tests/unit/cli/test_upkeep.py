"""Holds what `check`, `stats`, `backup`, `archive`, `restore` and `compact` do."""

from __future__ import annotations

import json
from pathlib import Path

import ormdb
from tests.unit.cli.conftest import Run


def test_a_sound_database_is_called_sound(run: Run, database: Path) -> None:
    for deep in ((), ("--deep",)):
        ran = run("check", database, *deep)
        assert ran.code == 0
        assert ran.out.startswith("sound at commit 2")


def test_damage_is_found_and_makes_the_exit_code(run: Run, database: Path) -> None:
    data = bytearray(database.read_bytes())
    at = data.index(b"La Guardia")
    data[at] ^= 1
    database.write_bytes(bytes(data))
    ran = run("check", database, "--deep")
    assert ran.code == 1
    assert "airport" in ran.out
    assert "restore a backup" in ran.err


def test_stats_count_the_rows_of_each_entity(run: Run, database: Path) -> None:
    found = json.loads(run("stats", database, "--json").out)
    assert found["rows"] == {"airport": 3, "flight": 3}
    assert found["version"] == 2
    assert "flight" in run("stats", database).out


def test_a_backup_is_restored(run: Run, database: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy.ormdb", tmp_path / "other.ormdb"
    assert run("backup", database, copy).code == 0
    with ormdb.open(database) as db:
        db.bulk_load("airport", [{"faa": "EWR", "name": "Newark"}])
    assert run("restore", copy, other).code == 0
    assert run("fetch", other, "airport", "--count").out == "3\n"
    assert run("restore", copy, database).code == 1
    assert run("fetch", database, "airport", "--count").out == "4\n"
    assert run("restore", copy, database, "--overwrite").code == 0
    assert run("fetch", database, "airport", "--count").out == "3\n"


def test_a_backup_and_archives_are_restored_to_a_moment(
    run: Run, database: Path, tmp_path: Path
) -> None:
    copy, other = tmp_path / "copy.ormdb", tmp_path / "other.ormdb"
    archive = tmp_path / "later.archive"
    assert run("backup", database, copy).code == 0
    with ormdb.open(database) as db:
        for faa in ("EWR", "BOS"):
            db.bulk_load("airport", [{"faa": faa, "name": faa}])
    assert "commits 3 to 4" in run("archive", database, archive, "--since", 2).err
    assert "nothing was" in run("archive", database, tmp_path / "none", "--since", 4).err
    assert run("archive", database, archive, "--since", 2).code == 1
    ran = run("restore", copy, other, "--archive", archive, "--as-of", 3)
    assert "newest commit is 3" in ran.err
    assert run("fetch", other, "airport", "--count").out == "4\n"
    assert run("restore", copy, other, "--overwrite", "--archive", archive).code == 0
    assert run("fetch", other, "airport", "--count").out == "5\n"
    assert run("restore", copy, other, "--overwrite", "--as-of", 9).code == 1
    assert run("fetch", other, "airport", "--count").out == "5\n"


def test_compact_keeps_every_row(run: Run, database: Path) -> None:
    ran = run("compact", database)
    assert ran.code == 0
    assert "bytes before" in ran.err
    assert run("fetch", database, "flight", "--count").out == "3\n"


def test_a_file_that_is_missing_or_foreign_is_refused(run: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.ormdb"
    foreign.write_text("not a database")
    before = sorted(tmp_path.iterdir())
    for command in ("check", "stats", "compact", "schema"):
        for path in (tmp_path / "missing.ormdb", foreign):
            ran = run(command, path)
            assert ran.code == 1
            assert ran.err.startswith("error: ")
            assert ran.err.count("\n") == 1
    for command in ("backup", "restore"):
        ran = run(command, tmp_path / "missing.ormdb", tmp_path / "new.ormdb")
        assert ran.code == 1
        assert ran.err.startswith("error: ")
    assert [path for path in sorted(tmp_path.iterdir()) if "lock" not in path.name] == before


def test_an_analysis_says_what_it_looked_at(run: Run, database: Path) -> None:
    with ormdb.open(database) as db:
        db.bulk_load("airport", [{"faa": "EWR", "name": "Newark"}])
    assert "3 rows" in run("stats", database).out  # an import ends with an analysis
    ran = run("analyze", database, "airport")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines() if "port" in line] == [
        ["airport", "4", "4"]
    ]
    found = json.loads(run("stats", database, "--json").out)["analyzed"]
    assert (found["airport"]["rows"], found["airport"]["looked_at"]) == (4, 4)
    assert found["flight"]["rows"] == 3
    assert run("analyze", database, "nothing").code == 1


def test_an_entity_that_was_never_analyzed_is_said_to_be(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new.ormdb"
    schema = "ormdb schema 1\n\nentity Thing\n  identity id\n  id: int\n"
    with ormdb.open(path, schema=schema):
        pass
    assert "never" in run("stats", path).out
