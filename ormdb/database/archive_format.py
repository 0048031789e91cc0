"""Archive files: a stretch of commits with what rows became, record by record.

    header                               database, since, link to the commit before
    schema 2      for commit 241         the catalog's record, before the commit that stored it
    commit 241, part 0                   the bytes of the change log
      rows         1,024 of them         as they became, in the order in which the log names them
      rows         …
    commit 242, part 0                   …
    end            310                   how many commits, counters, a digest of all before

Each record has its length and a checksum in front of it, and a file without its end is refused: a
copy that was cut short is no archive.  See docs/formats/archives.md.

Invariants (held by tests/unit/database/test_archives.py):
  1. What is read is what was written; any change of a byte, and any cut, raises CorruptionError.
  2. Neither side holds more than a batch of rows and a part of one commit's entry.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from zlib import crc32

import msgspec

from ormdb import limits
from ormdb.errors import CorruptionError, FormatError, UsageError

FORMAT: Final = 1
MAGIC: Final = b"ormdb archive\n"
_FRAME = struct.Struct("<II")  # length, CRC-32
_HEADER, _SCHEMA, _COMMIT, _ROWS, _END = range(5)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaPart:
    """The record of a schema that commit `version` stored."""

    version: int
    wall_us: int
    schema_version: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPart:
    """A part of the change log's entry of commit `version`."""

    version: int
    number: int
    data: bytes


def link_of(data: bytes) -> bytes:
    """What tells a commit from any other with its number: a digest of its entry's first part."""
    return blake2b(data, digest_size=16).digest()


class ArchiveWriter:
    """Writes the records of an archive."""

    def __init__(self, file: BinaryIO, *, database_id: bytes, since: int, link: bytes) -> None:
        self._file = file
        self._digest = blake2b(digest_size=32)
        self._commits = 0
        self._version = since
        file.write(MAGIC)
        self._put(_HEADER, FORMAT, database_id, since, link)

    @property
    def commits(self) -> int:
        """How many commits were written."""
        return self._commits

    def schema(self, part: SchemaPart) -> None:
        self._put(_SCHEMA, part.version, part.wall_us, part.schema_version, part.data)

    def commit(self, part: CommitPart) -> None:
        self._commits += part.number == 0
        self._version = part.version
        self._put(_COMMIT, part.version, part.number, part.data)

    def rows(self, rows: Sequence[bytes]) -> None:
        """What rows became, in the order of the entry before."""
        self._put(_ROWS, list(rows))

    def end(self, counters: dict[str, int]) -> None:
        """Nothing follows."""
        digest = self._digest.digest()
        self._put(_END, self._version, self._commits, sorted(counters.items()), digest)

    def _put(self, *record: Any) -> None:
        body = _encode(record)
        frame = _FRAME.pack(len(body), crc32(body)) + body
        self._digest.update(frame)
        self._file.write(frame)


class ArchiveReader:
    """Reads an archive from the beginning to the end; use it as a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            self._file = Path(path).open("rb")  # noqa: SIM115  # closed by close
        except (FileNotFoundError, IsADirectoryError) as error:
            raise UsageError(f"there is no archive {self.path}; check the path") from error
        self._digest = blake2b(digest_size=32)
        self._waiting: list[bytes] = []  # rows that were read and not asked for
        self.counters: dict[str, int] = {}
        self.version = 0
        self.commits = 0
        try:
            if self._file.read(len(MAGIC)) != MAGIC:
                raise FormatError(f"{self.path} is not an archive of ormdb; give another file")
            kind, *facts = self._next()
            if kind != _HEADER:
                raise self._damage("does not begin with its header")
            if facts[0] != FORMAT:
                raise FormatError(
                    f"{self.path} has format {facts[0]}, this ormdb reads up to {FORMAT};"
                    " use a newer ormdb"
                )
            self.database_id: bytes = facts[1]
            self.since: int = facts[2]
            self.link: bytes = facts[3]
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<ArchiveReader {self.path} since {self.since}>"

    def parts(self) -> Iterator[SchemaPart | CommitPart]:
        """Every part in order.  The rows of a commit's part are asked for with `rows` before the
        next one, or left out."""
        while True:
            kind, *facts = self._next()
            if kind == _ROWS:
                continue  # of a commit that is known already
            self._waiting = []
            if kind == _SCHEMA:
                version, wall_us, schema_version, data = facts
                yield SchemaPart(
                    version=version, wall_us=wall_us, schema_version=schema_version, data=data
                )
            elif kind == _COMMIT:
                version, number, data = facts
                yield CommitPart(version=version, number=number, data=data)
            else:
                self.version, self.commits = facts[0], facts[1]
                self.counters = dict(map(tuple, facts[2]))
                return

    def rows(self, count: int) -> list[bytes]:
        """The next rows of the part that was read last."""
        while len(self._waiting) < count:
            kind, *facts = self._next()
            if kind != _ROWS:
                raise self._damage("lacks rows of a commit")
            self._waiting += facts[0]
        rows, self._waiting = self._waiting[:count], self._waiting[count:]
        return rows

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _next(self) -> list[Any]:
        frame = self._file.read(_FRAME.size)
        if len(frame) < _FRAME.size:
            raise self._damage("ends too early")
        length, seal = _FRAME.unpack(frame)
        if length > limits.ARCHIVE_RECORD_BYTES_MAX:
            raise self._damage("has a record of impossible length")
        body = self._file.read(length)
        if len(body) < length or crc32(body) != seal:
            raise self._damage("has a record that fails its checksum, or ends too early")
        try:
            record = _decode(body)
            if record[0] == _END and record[4] != self._digest.digest():
                raise self._damage("has lost records")
        except (msgspec.DecodeError, IndexError) as error:
            raise self._damage(f"has a record that does not decode ({error})") from error
        self._digest.update(frame + body)
        return record

    def _damage(self, fact: str) -> CorruptionError:
        return CorruptionError(f"the archive {self.path} {fact}; use another copy of it")


def look_through(path: str | os.PathLike[str]) -> ArchiveReader:
    """Read a whole archive; what it says of itself.

    Raises:
      UsageError, FormatError: it is none.
      CorruptionError: it is damaged, or not whole.
    """
    with ArchiveReader(path) as reader:
        for _ in reader.parts():
            pass
        return reader
