"""Archives hold every commit since a version; what is damaged, missing or foreign is refused."""

from __future__ import annotations

import datetime
import itertools
import random
from pathlib import Path

import pytest

import ormdb
from ormdb import Database, Entity, Field, field
from ormdb.database import archiving, timetravel
from ormdb.database.archive_format import ArchiveReader, ArchiveWriter, CommitPart, look_through
from ormdb.errors import (
    CorruptionError,
    FormatError,
    HistoryError,
    OrmdbError,
    StorageIOError,
    UsageError,
    ValueTypeError,
)


class Note(Entity):
    id: Field[int] = field(identity=True)
    text: Field[str] = field(index=True)


def opened(path: Path) -> Database:
    return ormdb.open(path, schema=[Note], durability="none", statistics="manual")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A folder: a backup at commit 3, archives of 4 to 6 and of 7 to 9, and the database at 9."""
    with opened(tmp_path / "notes.ormdb") as db:
        for number in range(8):
            db.insert(Note(id=number, text=f"{number}"))
            db.update(Note.key(0), Note.text.to(f"{number}")) if number == 5 else None
            if db.version == 3:
                db.backup(tmp_path / "backup.ormdb")
            if db.version == 6:
                db.archive(tmp_path / "first.archive", since=3)
        assert db.version == 10
        db.archive(tmp_path / "second.archive", since=6)
    return tmp_path


def texts(path: Path) -> list[str]:
    with opened(path) as db:
        return [note.text for note in db.fetch(Note.all())]


def test_a_backup_and_archives_give_any_commit_between(history: Path) -> None:
    archives = [history / "second.archive", history / "first.archive"]
    for version in range(1, 11):
        outcome = ormdb.restore(
            history / "backup.ormdb",
            history / "restored.ormdb",
            as_of=version,
            archives=archives,
            overwrite=True,
        )
        assert outcome.version == version
        assert len(texts(history / "restored.ormdb")) == min(version - 1, 6) + (version > 8) + (
            version > 9
        )
    assert texts(history / "restored.ormdb")[0] == "5"


def test_a_database_that_was_restored_is_archived_on(history: Path) -> None:
    restored = history / "restored.ormdb"
    archives = [history / "first.archive"]
    ormdb.restore(history / "backup.ormdb", restored, archives=archives)
    with opened(restored) as db:
        assert db.version == 6
        db.insert(Note(id=100, text="another course"))
        outcome = db.archive(history / "other.archive", since=6)
        assert (outcome.since, outcome.version, outcome.commits) == (6, 7, 1)
    ormdb.restore(
        history / "backup.ormdb",
        history / "again.ormdb",
        archives=[history / "first.archive", history / "other.archive"],
    )
    assert "another course" in texts(history / "again.ormdb")


def test_two_courses_of_events_are_not_mixed(history: Path) -> None:
    restored, backup = history / "restored.ormdb", history / "backup.ormdb"
    ormdb.restore(backup, restored, as_of=2)
    with opened(restored) as db:
        for number in range(100, 106):
            db.insert(Note(id=number, text="another course"))
        db.backup(history / "other.ormdb")
    for archive in ("first.archive", "second.archive"):
        with pytest.raises(UsageError, match="another course of events"):
            ormdb.restore(
                history / "other.ormdb", history / "mixed.ormdb", archives=[history / archive]
            )
    assert not (history / "mixed.ormdb").exists()


def test_a_gap_and_a_moment_out_of_reach_are_refused(history: Path) -> None:
    backup, target = history / "backup.ormdb", history / "target.ormdb"
    with pytest.raises(HistoryError, match="begins after commit 6"):
        ormdb.restore(backup, target, archives=[history / "second.archive"])
    with pytest.raises(HistoryError, match="not been made"):
        ormdb.restore(backup, target, as_of=7, archives=[history / "first.archive"])
    long_ago = datetime.datetime(1999, 1, 1, tzinfo=datetime.UTC)
    with pytest.raises(HistoryError, match="no longer kept"):
        ormdb.restore(backup, target, as_of=long_ago)
    with pytest.raises(ValueTypeError):
        ormdb.restore(backup, target, as_of=long_ago.replace(tzinfo=None))
    assert not target.exists()
    assert not (history / "target.ormdb-partial").exists()


def test_an_archive_of_another_database_is_refused(history: Path) -> None:
    with opened(history / "stranger.ormdb") as db:
        db.insert(Note(id=1, text=""))
        db.archive(history / "stranger.archive", since=1)
    with pytest.raises(UsageError, match="another database"):
        ormdb.restore(
            history / "backup.ormdb",
            history / "target.ormdb",
            archives=[history / "stranger.archive"],
        )


def test_any_damage_to_an_archive_is_found(history: Path) -> None:
    archive = history / "first.archive"
    whole = archive.read_bytes()
    assert look_through(archive).version == 6
    random_ = random.Random(3)
    for _ in range(300):
        data = bytearray(whole)
        at = random_.randrange(len(data))
        if random_.random() < 0.3:
            del data[at:]
        elif random_.random() < 0.3:
            del data[at : at + random_.randrange(1, 200)]
        else:
            data[at] ^= 1 << random_.randrange(8)
        archive.write_bytes(data)
        with pytest.raises((CorruptionError, FormatError)):
            look_through(archive)


def test_an_archive_that_lost_a_whole_record_is_refused(history: Path) -> None:
    archive = history / "first.archive"
    data = archive.read_bytes()
    at = len(b"ormdb archive\n")
    bounds = [at]
    while at < len(data):
        at += 8 + int.from_bytes(data[at : at + 4], "little")
        bounds.append(at)
    for first, last in itertools.pairwise(bounds[1:-1]):
        archive.write_bytes(data[:first] + data[last:])
        with pytest.raises(CorruptionError, match="lost records"):
            look_through(archive)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no archive")
    with pytest.raises(FormatError):
        look_through(tmp_path / "text")
    with pytest.raises(UsageError):
        look_through(tmp_path / "nothing")


def test_an_archive_replaces_nothing_and_needs_the_log(history: Path) -> None:
    with opened(history / "notes.ormdb") as db:
        with pytest.raises(UsageError, match="exists"):
            db.archive(history / "first.archive", since=9)
        with pytest.raises(HistoryError, match="not been made"):
            db.archive(history / "new.archive", since=11)
        assert db.archive(history / "all.archive", since=0).commits == 10
        db.reclaim(keep_versions=3)
        with pytest.raises(HistoryError, match="reaches back to commit 8"):
            db.archive(history / "new.archive", since=7)
        assert db.archive(history / "empty.archive", since=10).commits == 0
    assert sorted(path.name for path in history.glob("*partial*")) == []
    with pytest.raises(StorageIOError), opened(history / "notes.ormdb") as db:
        db.archive(history / "no folder" / "x.archive", since=10)


def test_a_horizon_that_passes_an_archive_is_told(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "_COMMITS_PER_SNAPSHOT", 2)
    with opened(history / "notes.ormdb") as db:
        written = ArchiveWriter.commit

        def reclaim(writer: ArchiveWriter, part: CommitPart) -> None:
            written(writer, part)
            db.reclaim(keep_versions=1)

        monkeypatch.setattr(ArchiveWriter, "commit", reclaim)
        with pytest.raises(HistoryError, match="reaches back"):
            db.archive(history / "new.archive", since=3)
    assert not (history / "new.archive").exists()


def test_long_archives_are_written_and_done_in_parts(
    history: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "_COMMITS_PER_SNAPSHOT", 2)
    monkeypatch.setattr(timetravel, "_COMMITS_PER_TRANSACTION", 2)
    with opened(history / "notes.ormdb") as db:
        db.archive(history / "long.archive", since=1)
    for version in (2, 5, 9, 10):
        ormdb.restore(
            history / "backup.ormdb",
            history / "target.ormdb",
            as_of=version,
            archives=[history / "long.archive"],
            overwrite=True,
        )
        assert len(texts(history / "target.ormdb")) == version - 1 - (version > 8)


def test_numbers_that_were_given_out_are_not_given_again(tmp_path: Path) -> None:
    class Ticket(Entity):
        id: Field[int] = field(identity=True, default=ormdb.sequence())
        name: Field[str] = field(unique=True)

    with ormdb.open(tmp_path / "a.ormdb", schema=[Ticket], statistics="manual") as db:
        db.insert(Ticket(name="a"))
        db.backup(tmp_path / "backup.ormdb")
        db.insert(Ticket(name="b"))
        db.archive(tmp_path / "archive", since=2)
    for as_of in (None, 2):
        ormdb.restore(
            tmp_path / "backup.ormdb",
            tmp_path / "b.ormdb",
            as_of=as_of,
            archives=[tmp_path / "archive"],
            overwrite=True,
        )
        with ormdb.open(tmp_path / "b.ormdb", schema=[Ticket], statistics="manual") as db:
            db.insert(Ticket(name="c"))
            names = {ticket.name: ticket.id for ticket in db.fetch(Ticket.all())}
            assert names["c"] > (2 if as_of is None else 1)


def test_a_commit_that_changed_the_schema_is_undone_and_done(tmp_path: Path) -> None:
    class Author(Entity):
        id: Field[int] = field(identity=True)

    path = tmp_path / "notes.ormdb"
    with opened(path) as db:
        db.insert(Note(id=1, text="a"))
        db.backup(tmp_path / "early.ormdb")
    with ormdb.open(path, schema=[Note, Author], statistics="manual") as db:
        assert db.version == 3
        db.insert(Author(id=1))
        db.backup(tmp_path / "late.ormdb")
        db.archive(tmp_path / "archive", since=2)
    for backup, archives in (("early", [tmp_path / "archive"]), ("late", [])):
        for version, names in ((2, ["Note"]), (3, ["Author", "Note"]), (4, ["Author", "Note"])):
            outcome = ormdb.restore(
                tmp_path / f"{backup}.ormdb",
                tmp_path / "target.ormdb",
                as_of=version,
                archives=archives,
                overwrite=True,
            )
            assert outcome.schema_version == len(names)
            with ormdb.open(tmp_path / "target.ormdb", statistics="manual") as db:
                assert sorted(entity.name for entity in db.schema.entities) == names
                assert db.version == version
    with ormdb.open(tmp_path / "target.ormdb", schema=[Note, Author]) as db:
        assert db.count(Author.all()) == 1


def test_a_reader_says_what_it_reads(history: Path) -> None:
    with ArchiveReader(history / "first.archive") as reader:
        assert "since 3" in repr(reader)
        versions = [part.version for part in reader.parts()]
    assert versions == [4, 5, 6]
    assert isinstance(UsageError("x"), OrmdbError)
